from django.apps import AppConfig


class AuthConfig(AppConfig):
    name = "todo_mcp.auth"
    label = "access"  # "auth" is Django's own
