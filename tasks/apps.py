from django.apps import AppConfig


class TasksConfig(AppConfig):
    name = "tasks"

    def ready(self) -> None:
        from tasks import quotas, services  # noqa: F401 (they register the operations, and how to count)
        from tasks.reminders import services as reminders  # noqa: F401 (so does this)
