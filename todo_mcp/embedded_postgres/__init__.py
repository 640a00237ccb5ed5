"""A PostgreSQL of our own in the data directory, for those who have none: started on the first connection."""
