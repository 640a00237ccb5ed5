import logging
import os
import sys
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.db import DatabaseError
from django.db.models.signals import post_migrate

from todo_mcp.postgres import wall

logger = logging.getLogger(__name__)
_REPORTED = "TODO_MCP_REPORTED_PARAMETERS"  # set in the environment of the processes that this one starts


class TodoMcpConfig(AppConfig):
    name = "todo_mcp"
    verbose_name = "todo-mcp"

    def ready(self) -> None:
        # Django sends the signal once for each app with models, after all migrations. One of them is enough.
        post_migrate.connect(_raise_wall, sender=apps.get_app_config("users"))
        register(_check_wall)
        _report_ignored_parameters()


def _report_ignored_parameters() -> None:
    """Report once which parameters of DATABASE_URL have no effect."""
    if settings.DATABASE_URL_IGNORED and _REPORTED not in os.environ:
        os.environ[_REPORTED] = "yes"
        logger.warning(
            "DATABASE_URL has parameters of another driver; they have no effect: %s",
            ", ".join(settings.DATABASE_URL_IGNORED),
        )


def _raise_wall(**signal: Any) -> None:
    """After the migrations, every table is there."""
    if problem := wall.raise_wall():
        logger.warning("%s %s", wall.MISSING, problem)


def _check_wall(**options: Any) -> list[CheckMessage]:
    """For `manage.py check`: whether the database keeps users apart. Servers and `migrate` log it themselves."""
    if sys.argv[1:2] != ["check"]:
        return []
    try:
        problem = wall.problem()
    except DatabaseError:  # it is out of reach
        return []
    return [Warning(wall.MISSING, hint=problem, id="todo_mcp.W001")] if problem else []
