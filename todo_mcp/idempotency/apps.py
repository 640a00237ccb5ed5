from django.apps import AppConfig


class IdempotencyConfig(AppConfig):
    name = "todo_mcp.idempotency"
    label = "idempotency"
