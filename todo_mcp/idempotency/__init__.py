"""Doing something once however often it is asked for: keys that callers choose, and the first result under each."""
