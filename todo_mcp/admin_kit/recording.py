"""What is recorded of an operator's work: the author in the history of tasks, and entries of the operators' log.

The log is Django's. Each entry also names the user to whom the row belongs, but never contains text of a task.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest

from todo_mcp.postgres.history import history_context
from todo_mcp.telemetry.logs import request_id
from todo_mcp.users.models import LogSubject, User

if TYPE_CHECKING:  # unfold publishes no types; its ModelAdmin has the same signatures as Django's
    from django.contrib.admin import ModelAdmin as DjangoModelAdmin

    UnfoldModelAdmin = DjangoModelAdmin[Any]
else:
    from unfold.admin import ModelAdmin as UnfoldModelAdmin


@dataclass(frozen=True)
class Heading:
    """A row under a plain name. Django shows it in headings and messages by its id, never by a user's text."""

    row: Any
    name: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.row, name)

    def __str__(self) -> str:
        return self.name


class RecordingAdmin(UnfoldModelAdmin):
    """An admin page whose changes are recorded."""

    def recorded(self, request: HttpRequest, tool: str) -> Any:
        """The context in which the history records a service's changes as this operator's."""
        return history_context(user=str(request.user.pk), tool=tool, client="admin", request_id=request_id.get())

    def subject(self, row: Any) -> str | None:
        """The id of the user to whom the row belongs. None if it belongs to nobody."""
        return row.pk if isinstance(row, User) else getattr(row, "user_id", None)

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> LogEntry:
        return self._log(request, [obj], ADDITION, json.dumps(message))[0]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> LogEntry:
        return self._log(request, [obj], CHANGE, json.dumps(message))[0]

    @transaction.atomic
    def _log(self, request: HttpRequest, rows: Sequence[Model], flag: int, message: str) -> list[LogEntry]:
        """Add an entry to the operators' log for each row. Two statements for any number of rows."""
        entries = LogEntry.objects.bulk_create(
            LogEntry(
                user_id=str(request.user.pk),
                content_type=ContentType.objects.get_for_model(row),
                object_id=str(row.pk),
                object_repr=self._plain_name(row),
                action_flag=flag,
                change_message=message,
            )
            for row in rows
        )
        owners = [(entry, self.subject(row)) for entry, row in zip(entries, rows, strict=True)]
        LogSubject.objects.bulk_create(LogSubject(entry=entry, user_id=owner) for entry, owner in owners if owner)
        return entries

    def _plain_name(self, row: Model) -> str:
        return f"{row._meta.verbose_name} {row.pk}"[:200]
