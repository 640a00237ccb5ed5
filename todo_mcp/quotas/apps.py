from django.apps import AppConfig


class QuotasConfig(AppConfig):
    name = "todo_mcp.quotas"
    label = "quotas"
