import logging
import os

from django.apps import AppConfig
from django.conf import settings

logger = logging.getLogger(__name__)
_REPORTED = "TODO_MCP_REPORTED_PARAMETERS"  # set in the environment of the processes that this one starts


class TodoMcpConfig(AppConfig):
    name = "todo_mcp"
    verbose_name = "todo-mcp"

    def ready(self) -> None:
        """Report once which parameters of DATABASE_URL have no effect."""
        if settings.DATABASE_URL_IGNORED and _REPORTED not in os.environ:
            os.environ[_REPORTED] = "yes"
            logger.warning(
                "DATABASE_URL has parameters of another driver; they have no effect: %s",
                ", ".join(settings.DATABASE_URL_IGNORED),
            )
