"""What happens to tasks in the end: the purge, and a person's rights to a copy and to be forgotten."""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from tasks.models import Task, TaskEvent
from todo_mcp.postgres.purging import Purge

DELETED_FOR = timedelta(days=30)


def _due() -> QuerySet[Task]:
    return Task.objects.filter(deleted_at__lt=timezone.now() - DELETED_FOR).order_by("deleted_at")


def _remove(ids: list[int]) -> None:
    Task.objects.filter(pk__in=ids).delete()
    TaskEvent.objects.filter(pgh_obj_id__in=ids).delete()  # after the task, whose deletion is an event too


DELETED_TASKS = Purge("deleted tasks", _due, _remove)


def export_tasks(*, user_id: str) -> dict[str, list[dict[str, Any]]]:
    """Everything kept of a user's tasks: those in the list, the deleted ones, and each change."""
    fields = ("id", "title", "description", "completed", "completed_at", "created_at", "updated_at", "deleted_at")
    history = ("pgh_id", "pgh_created_at", "pgh_label", "pgh_context", *fields)
    return {
        "tasks": list(
            Task.objects.filter(user_id=user_id).order_by("id").values(*fields, "conversation_id", "message_id")
        ),
        "history": list(TaskEvent.objects.filter(user_id=user_id).order_by("pgh_id").values(*history)),
    }


def erase_tasks(*, user_id: str) -> int:
    """Remove a user's tasks with their history, in the caller's transaction; returns how many tasks."""
    count, _ = Task.objects.filter(user_id=user_id).delete()
    TaskEvent.objects.filter(user_id=user_id).delete()
    return count


def forget_operator(*, user_id: str) -> None:
    """Take an operator's id out of the history of other people's tasks, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE task_events SET pgh_context = jsonb_set(pgh_context, '{user}', 'null') "
            "WHERE pgh_context ->> 'user' = %s",
            [user_id],
        )
