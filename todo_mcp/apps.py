from django.apps import AppConfig


class TodoMcpConfig(AppConfig):
    name = "todo_mcp"
    verbose_name = "todo-mcp"
