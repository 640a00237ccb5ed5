"""Quotas: how much each user may store and write. Calls look at counts in memory, and send no statement for them."""
