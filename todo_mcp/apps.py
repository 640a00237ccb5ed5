from django.apps import AppConfig


class TodoMcpConfig(AppConfig):
    name = "todo_mcp"
    verbose_name = "todo-mcp"

    def ready(self) -> None:
        from todo_mcp import checks  # noqa: F401 (registers the system checks)
