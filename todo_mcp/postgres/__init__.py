"""Django's PostgreSQL backend, whose connections can also wait on the event loop without holding it."""
