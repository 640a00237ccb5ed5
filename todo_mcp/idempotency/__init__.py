"""Idempotency keys. A caller chooses a key, and each repeated call with that key returns the first result."""
