from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "todo_mcp.users"
    label = "users"
