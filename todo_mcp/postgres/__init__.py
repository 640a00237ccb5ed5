"""PostgreSQL for Django: a backend whose connections can wait on the event loop, and the gate before the database."""
