"""What happens to tasks in the end: the purge, and a person's rights to a copy and to be forgotten."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from tasks.models import Task, TaskEvent

DELETED_FOR = timedelta(days=30)
BATCH = 1000  # rows in one transaction


def purge_tasks(*, dry_run: bool = False) -> int:
    """Remove tasks deleted more than 30 days ago, and their history, in batches; returns how many tasks."""
    due = Task.objects.filter(deleted_at__lt=timezone.now() - DELETED_FOR)
    if dry_run:
        return due.count()
    removed = 0
    while ids := list(due.order_by("deleted_at").values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            Task.objects.filter(pk__in=ids).delete()
            TaskEvent.objects.filter(pgh_obj_id__in=ids).delete()  # after the task, whose deletion is an event too
        removed += len(ids)
    return removed


def export_tasks(*, user_id: str) -> dict[str, list[dict[str, Any]]]:
    """Everything kept of a user's tasks: those in the list, the deleted ones, and each change."""
    fields = ("id", "title", "description", "completed", "completed_at", "created_at", "updated_at", "deleted_at")
    history = ("pgh_id", "pgh_created_at", "pgh_label", "pgh_context", *fields)
    return {
        "tasks": list(Task.objects.filter(user_id=user_id).order_by("id").values(*fields)),
        "history": list(TaskEvent.objects.filter(user_id=user_id).order_by("pgh_id").values(*history)),
    }


def erase_tasks(*, user_id: str) -> int:
    """Remove a user's tasks with their history, in the caller's transaction; returns how many tasks."""
    count, _ = Task.objects.filter(user_id=user_id).delete()
    TaskEvent.objects.filter(user_id=user_id).delete()
    return count
