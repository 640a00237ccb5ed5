"""Tasks, and a record of each change to them."""

from typing import ClassVar

import pghistory
import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Cast, Length
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual
from django.utils import timezone

from todo_mcp.quotas.usage import ROW_BYTES

TITLE_MAX = 200
DESCRIPTION_MAX = 1000
TAGS_MAX = 10
TAG_MAX = 30  # characters
CHECKLIST_MAX = 50  # items
ITEM_MAX = 200  # characters
REPEAT_MAX = 200  # characters of an RRULE
ZONE_MAX = 64  # characters of an IANA name
PRIORITIES = ("none", "low", "medium", "high")  # a priority is stored as its position here

# What a person sees of a task. A change of one of these makes a new version.
SEEN_FIELDS = (
    "title", "description", "completed", "completed_at", "deleted_at", "due_on", "due_at", "priority", "tags",
    "repeat", "repeat_on", "repeat_time", "repeat_zone", "checklist",
)  # fmt: skip
_TEXTS_CHANGED = " OR ".join(
    f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in ("title", "description", "tags", "checklist")
)
# The entries of task_tags for the row before and after a change.
_REMOVE_TAGS = """
    DELETE FROM task_tags
    WHERE user_id = OLD.user_id AND tag = ANY (ARRAY(SELECT tasks_lower(tag) FROM unnest(OLD.tags) tag))
        AND completed = OLD.completed AND created_at = OLD.created_at AND task_id = OLD.id;
"""
_ADD_TAGS = """
    IF NEW.deleted_at IS NULL THEN
        INSERT INTO task_tags (user_id, tag, completed, created_at, task_id)
        SELECT DISTINCT NEW.user_id, tasks_lower(tag), NEW.completed, NEW.created_at, NEW.id FROM unnest(NEW.tags) tag;
    END IF;
"""
_TAGGED = "{row}.tags, {row}.deleted_at IS NULL, {row}.user_id, {row}.completed, {row}.created_at"
_TAGS_CHANGED = (
    "(OLD.tags <> '{}' OR NEW.tags <> '{}') "
    f"AND ({_TAGGED.format(row='OLD')}) IS DISTINCT FROM ({_TAGGED.format(row='NEW')})"
)
_EMPTY_TEXTS = Cast(models.Value("{}"), ArrayField(models.CharField(max_length=TAG_MAX)))
_NO_ITEMS = models.Value([], models.JSONField())


class CheckItems(models.Func):
    """Whether a list of items is valid: at most ``CHECKLIST_MAX``, each with its text and whether it is done."""

    template = (
        "CASE WHEN jsonb_typeof(%(expressions)s) = 'array' THEN jsonb_array_length(%(expressions)s) <= "
        f"{CHECKLIST_MAX} AND NOT jsonb_path_exists(%(expressions)s, "
        '\'$[*] ? (!(@.text.type() == "string" && @.done.type() == "boolean"))\') ELSE false END'
    )
    output_field = models.BooleanField()
    conditional = True


class Task(models.Model):  # type: ignore[django-manager-missing]  # `events`, the manager of a generated base class
    """One thing to do. Deleting sets ``deleted_at``; ``purge`` removes the row 30 days later.

    A task is due on a day or at a moment. If it repeats, ``repeat`` is its RRULE without DTSTART. ``repeat_on`` is the
    date that the rule gave to this occurrence, which ``due_on`` or ``due_at`` may have left. If the rule is for
    moments, ``repeat_time`` is their local time in ``repeat_zone``. Each occurrence is a task of its own. ``previous``
    is the one that it follows, ``series`` is the first one; both are null in the first.
    """

    # What one version stores, in bytes, for the quota of its user.
    STORED: ClassVar[str] = (
        "(octet_length(tasks.title) + octet_length(tasks.description) + octet_length(tasks.checklist::text) "
        f"+ pg_column_size(tasks.tags) + {ROW_BYTES})"
    )

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    title = models.CharField(max_length=TITLE_MAX)
    description = models.TextField(blank=True, default="")
    completed = models.BooleanField(default=False)
    completed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    due_on = models.DateField("due on", null=True, blank=True)
    due_at = models.DateTimeField("due at", null=True, blank=True)
    priority = models.SmallIntegerField(choices=list(enumerate(PRIORITIES)), default=0, db_default=0)
    tags = ArrayField(models.CharField(max_length=TAG_MAX), default=list, db_default=_EMPTY_TEXTS, blank=True)
    repeat = models.CharField(max_length=REPEAT_MAX, default="", db_default="", blank=True)
    repeat_on = models.DateField(null=True, blank=True, editable=False)
    repeat_time = models.TimeField(null=True, blank=True, editable=False)
    repeat_zone = models.CharField(max_length=ZONE_MAX, default="", db_default="", blank=True, editable=False)
    series = models.BigIntegerField(null=True, blank=True, editable=False)
    previous = models.BigIntegerField(null=True, blank=True, editable=False)
    checklist = models.JSONField(default=list, db_default=_NO_ITEMS, blank=True)  # of {"text": …, "done": …}
    version = models.IntegerField(default=1, db_default=1, editable=False)  # a trigger counts it
    # The version that last changed what a search reads. The trigger sets it; the index of words is for these versions.
    text_version = models.IntegerField(default=1, db_default=1, editable=False)
    thinned = models.IntegerField(default=0, db_default=0, editable=False)  # versions that the history has no more
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
        triggers = [
            pgtrigger.Trigger(
                name="count_version",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.AnyChange(*SEEN_FIELDS),
                func="NEW.version := OLD.version + 1; "
                f"IF {_TEXTS_CHANGED} THEN NEW.text_version := NEW.version; END IF; RETURN NEW;",
            ),
            *[
                pgtrigger.Trigger(
                    name=name,
                    operation=operation,
                    when=pgtrigger.After,
                    condition=pgtrigger.Condition(f"({condition})"),
                    func=f"{sql} RETURN NULL;",
                )
                for name, operation, condition, sql in (
                    ("add_tags", pgtrigger.Insert, "NEW.tags <> '{}'", _ADD_TAGS),
                    ("change_tags", pgtrigger.Update, _TAGS_CHANGED, _REMOVE_TAGS + _ADD_TAGS),
                    ("remove_tags", pgtrigger.Delete, "OLD.tags <> '{}'", _REMOVE_TAGS),
                )
            ],
        ]
        constraints = [
            # At most one open occurrence follows another, so that no completion adds two.
            models.UniqueConstraint(
                fields=["previous"],
                name="tasks_one_next",
                condition=models.Q(previous__isnull=False, completed=False, deleted_at=None) & ~models.Q(repeat=""),
            ),
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
            models.CheckConstraint(
                name="tasks_due_day_or_moment", condition=models.Q(due_on=None) | models.Q(due_at=None)
            ),
            models.CheckConstraint(
                name="tasks_priority", condition=models.Q(priority__gte=0, priority__lt=len(PRIORITIES))
            ),
            models.CheckConstraint(
                name="tasks_repeat_with_due",
                condition=models.Q(repeat="")
                | models.Q(models.Q(due_on__isnull=False) | models.Q(due_at__isnull=False), repeat_on__isnull=False),
            ),
            models.CheckConstraint(name="tasks_tags", condition=models.Q(tags__len__lte=TAGS_MAX)),
            models.CheckConstraint(name="tasks_checklist", condition=CheckItems("checklist")),
        ]
        indexes = [
            # list_tasks: a user's tasks that are not deleted, newest first, all or by state.
            # Tasks without a priority or a due date are counted in it alone.
            models.Index(
                fields=["user", "-created_at", "-id"],
                name="tasks_newest_all",
                condition=models.Q(deleted_at=None),
                include=["priority", "due_on", "due_at"],
            ),
            models.Index(
                fields=["user", "completed", "-created_at", "-id"],
                name="tasks_newest_by_state",
                condition=models.Q(deleted_at=None),
            ),
            # For the foreign key when a user is erased, and for the admin's filter. Neither can use the partial indexes
            # above.
            models.Index(fields=["user"], name="tasks_of_user"),
            # The trash, newest first.
            models.Index(
                fields=["user", "-created_at", "-id"], name="tasks_trash", condition=models.Q(deleted_at__isnull=False)
            ),
            # By day, by moment and by priority. Most tasks have none of these, and are in none of these indexes.
            *[
                models.Index(fields=["user", "completed", field, "-created_at", "-id"], name=name, condition=condition)
                for field, name, condition in (
                    ("due_on", "tasks_due_on", models.Q(deleted_at=None, due_on__isnull=False)),
                    ("due_at", "tasks_due_at", models.Q(deleted_at=None, due_at__isnull=False)),
                    ("-priority", "tasks_priority", models.Q(deleted_at=None, priority__gt=0)),
                )
            ],
            models.Index(
                fields=["user", "-completed_at", "-id"],
                name="tasks_done",
                condition=models.Q(deleted_at=None, completed_at__isnull=False),
            ),
            # The open tasks of all users that are due, for reminders.
            models.Index(
                fields=["due_at", "id"],
                name="tasks_remind_at",
                condition=models.Q(completed=False, deleted_at=None, due_at__isnull=False),
            ),
            models.Index(
                fields=["due_on", "id"],
                name="tasks_remind_on",
                condition=models.Q(completed=False, deleted_at=None, due_on__isnull=False),
            ),
            # The occurrences of a series.
            models.Index(fields=["series"], name="tasks_series", condition=models.Q(series__isnull=False)),
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


class TaskTag(models.Model):
    """A tag of a task that is not deleted, folded by ``tasks_lower``. Triggers on ``tasks`` write it.

    The primary key is the order in which lists by a tag are read. No index of ``tasks`` can have it, because an index
    of an array has no order.
    """

    pk = models.CompositePrimaryKey("user_id", "tag", "completed", "created_at", "task_id")
    user_id = models.TextField(db_collation="C")  # as users.id has, or else no join could use the key
    tag = models.TextField(db_collation="C")
    completed = models.BooleanField()
    created_at = models.DateTimeField()
    task_id = models.BigIntegerField()

    class Meta:
        db_table = "task_tags"

    def __str__(self) -> str:
        return self.tag


class TaskEvent(
    pghistory.create_event_model(  # type: ignore[misc]
        Task,
        pghistory.InsertEvent(),
        pghistory.UpdateEvent(),
        pghistory.DeleteEvent(),
        context_field=pghistory.ContextJSONField(),
        context_id_field=None,
        # These never change, except to null when the conversation or the message is deleted. `thinned` is not seen.
        exclude=["conversation", "message", "series", "previous", "thinned"],
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
            # A user's latest changes, and what one call changed: the events of one transaction have one time. An index
            # of tasks by their last change would make each change as dear as one of all the other indexes together.
            models.Index(fields=["user", "pgh_created_at", "pgh_id"], name="task_events_of_call"),
            # The latest changes of all users, for operators. An insert only appends to it.
            models.Index(fields=["pgh_created_at", "pgh_id"], name="task_events_newest"),
        ]
