"""Purge deleted tasks. Export or erase a user's tasks: each person has a right to both."""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from tasks.models import Task, TaskEvent
from todo_mcp.postgres.upkeep.purging import Purge

RETENTION = timedelta(days=30)  # from a task's deletion to its purge


def _due() -> QuerySet[Task]:
    return Task.objects.filter(deleted_at__lt=timezone.now() - RETENTION).order_by("deleted_at")


def _remove(ids: list[int]) -> None:
    Task.objects.filter(pk__in=ids).delete()
    TaskEvent.objects.filter(pgh_obj_id__in=ids).delete()  # after the tasks, because their deletion adds events


DELETED_TASKS = Purge("deleted tasks", _due, _remove, with_rows_of=("task_events",))


def export_tasks(*, user_id: str) -> dict[str, list[dict[str, Any]]]:
    """All stored data about a user's tasks: the tasks in the list, the deleted tasks, and each change."""
    history = [field.attname for field in TaskEvent._meta.concrete_fields if field.name != "pgh_obj"]
    tasks = [field.attname for field in Task._meta.concrete_fields]
    return {
        "tasks": list(Task.objects.filter(user_id=user_id).order_by("id").values(*tasks)),
        "history": list(TaskEvent.objects.filter(user_id=user_id).order_by("pgh_id").values(*history)),
    }


def erase_tasks(*, user_id: str) -> int:
    """Remove a user's tasks and their history in the caller's transaction. Return the number of tasks."""
    count, _ = Task.objects.filter(user_id=user_id).delete()
    TaskEvent.objects.filter(user_id=user_id).delete()
    return count


def forget_operator(*, user_id: str) -> None:
    """Remove an operator's id from the history of other users' tasks, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE task_events SET pgh_context = jsonb_set(pgh_context, '{user}', 'null') "
            "WHERE pgh_context ->> 'user' = %s",
            [user_id],
        )
