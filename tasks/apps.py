from django.apps import AppConfig


class TasksConfig(AppConfig):
    name = "tasks"

    def ready(self) -> None:
        from tasks import services  # noqa: F401 (registers the operations)
        from tasks.quotas import counting  # noqa: F401 (registers how to count)
        from tasks.reminders import services as reminders  # noqa: F401 (so does this)
