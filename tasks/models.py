"""Tasks, and a record of each change to them."""

import pghistory
from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Length
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual
from django.utils import timezone

TITLE_MAX = 200
DESCRIPTION_MAX = 1000


class Task(models.Model):  # type: ignore[django-manager-missing]  # `events`, the manager of a generated base class
    """One thing to do. Deleting sets ``deleted_at``; ``purge`` removes the row 30 days later."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    title = models.CharField(max_length=TITLE_MAX)
    description = models.TextField(blank=True, default="")
    completed = models.BooleanField(default=False)
    completed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The version that last changed what a search reads. A trigger sets it; the index of words is for these versions.
    text_version = models.IntegerField(default=1, db_default=1, editable=False)
    # The origin of the task. Migration 0001 adds the composite foreign key on conversation and user.
    conversation = models.ForeignKey(
        "conversations.Conversation",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="tasks",
        db_constraint=False,
        db_index=False,
    )
    message = models.ForeignKey(
        "conversations.Message",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="tasks",
        db_index=False,
    )

    class Meta:
        db_table = "tasks"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="tasks_title_length",
                condition=models.Q(GreaterThanOrEqual(Length("title"), 1), LessThanOrEqual(Length("title"), TITLE_MAX)),
            ),
            models.CheckConstraint(
                name="tasks_description_length",
                condition=models.Q(LessThanOrEqual(Length("description"), DESCRIPTION_MAX)),
            ),
            models.CheckConstraint(
                name="tasks_completed_at_with_completed",
                condition=models.Q(completed=True, completed_at__isnull=False)
                | models.Q(completed=False, completed_at__isnull=True),
            ),
            models.CheckConstraint(
                name="tasks_message_with_conversation",
                condition=models.Q(message=None) | models.Q(conversation__isnull=False),
            ),
        ]
        indexes = [
            # list_tasks: a user's tasks that are not deleted, newest first, all or by state.
            models.Index(
                fields=["user", "-created_at", "-id"], name="tasks_newest", condition=models.Q(deleted_at=None)
            ),
            models.Index(
                fields=["user", "completed", "-created_at", "-id"],
                name="tasks_newest_by_state",
                condition=models.Q(deleted_at=None),
            ),
            # For the foreign key when a user is erased, and for the admin's filter. Neither can use the partial indexes
            # above.
            models.Index(fields=["user"], name="tasks_of_user"),
            # The tasks of a conversation or a message, for its page and for its deletion. The user serves the foreign
            # key's check: without it, PostgreSQL may read all of the user's tasks to combine two indexes.
            models.Index(fields=["conversation", "user"], name="tasks_origin", condition=~models.Q(conversation=None)),
            models.Index(fields=["message"], name="tasks_origin_message", condition=~models.Q(message=None)),
            # purge: deleted tasks, oldest first.
            models.Index(fields=["deleted_at"], name="tasks_deleted", condition=models.Q(deleted_at__isnull=False)),
            # The admin: tasks added and completed per day, and its filter by date. BRIN, because it has no order. With
            # a B-tree, PostgreSQL may read the tasks of all users in order to fill a page with one user's tasks.
            BrinIndex(fields=["created_at"], name="tasks_created"),
            models.Index(
                fields=["completed_at"], name="tasks_completed", condition=models.Q(completed_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.title


class TaskEvent(
    pghistory.create_event_model(  # type: ignore[misc]
        Task,
        pghistory.InsertEvent(),
        pghistory.UpdateEvent(),
        pghistory.DeleteEvent(),
        context_field=pghistory.ContextJSONField(),
        context_id_field=None,
        exclude=["conversation", "message"],  # never change, except to null when their target is deleted
        obj_field=pghistory.ObjForeignKey(related_name="events", related_query_name="event", db_index=False),
        attrs={
            "user": models.ForeignKey(
                settings.AUTH_USER_MODEL,
                on_delete=models.DO_NOTHING,
                related_name="+",
                db_constraint=False,  # an event may outlive its task and its user
                db_index=False,
            )
        },
    )
):
    """One version of a task. A trigger writes it in the statement that changes the task, whoever sends the statement.

    ``pgh_context`` names the author: it is the metadata of ``history_context``, or null for raw SQL.
    """

    pgh_id = models.BigAutoField(primary_key=True)  # pghistory's default key would overflow after 2**31 changes

    class Meta:
        db_table = "task_events"
        ordering = ["-pgh_id"]
        indexes = [
            models.Index(fields=["pgh_obj", "-pgh_id"], name="task_events_of_task"),
            models.Index(fields=["user", "pgh_id"], name="task_events_of_user"),
        ]
