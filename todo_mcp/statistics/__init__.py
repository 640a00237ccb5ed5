"""How often each tool is called, by which clients, how fast and with what outcome; by the hour, never by the call."""
