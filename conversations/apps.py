from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "conversations"

    def ready(self) -> None:
        from conversations import quotas, services  # noqa: F401 (they register the operations, and how to count)
