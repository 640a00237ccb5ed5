"""Faults of the database: their causes, what the operator learns of them, and whether the worker is ready."""
