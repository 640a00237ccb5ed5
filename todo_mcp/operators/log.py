"""The operators' log in words: who did what, to whom, and when. It is Django's log, with the user of each entry."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.admin.utils import quote
from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Model, QuerySet, TextField, Value
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.urls import reverse

from todo_mcp.admin_kit.site import may_view

LATEST = 5  # entries about a user on the user's page
LATEST_OWN = 10  # entries on the first page
_ADDED = {"oauth2_provider.accesstoken": "Issued"}


def entries() -> QuerySet[LogEntry]:
    """The log, newest first, with what its words need."""
    return LogEntry.objects.select_related("subject").order_by("-pk")


def did(entry: LogEntry) -> str:
    """What the operator did, such as `Completed` or `Changed title`. Never text of a task."""
    if counts(entry):
        return str(next(iter(json.loads(entry.change_message))))
    if entry.action_flag == DELETION:
        return "Deleted"
    if entry.action_flag == ADDITION:
        return _ADDED.get(_label(entry), "Added")
    if entry.change_message == "[]":
        return "Saved without changes"
    verb, _, names = entry.get_change_message().removesuffix(".").partition(" ")
    return f"{verb} {names.lower()}".strip()


def counts(entry: LogEntry) -> dict[str, int]:
    """How much of each kind was erased or undone. Empty if the entry does not say it."""
    if not entry.change_message.startswith("{"):
        return {}
    [receipt] = json.loads(entry.change_message).values()
    return dict(receipt)


def whom(entry: LogEntry) -> str:
    """The id of the user whom the entry is about, or empty."""
    subject = getattr(entry, "subject", None)
    return subject.user_id if subject else ""


def latest_about(user_id: str) -> list[LogEntry]:
    return described(entries().filter(subject__user_id=user_id).select_related("user")[:LATEST])


def latest_of(request: HttpRequest) -> list[LogEntry]:
    """What this operator did last, with links."""
    found = described(entries().filter(user_id=request.user.pk)[:LATEST_OWN])
    add_links(request, found)
    return found


def described(found: Iterable[LogEntry]) -> list[Any]:
    """The entries, each with ``did`` and ``whom``."""
    rows: list[Any] = list(found)
    for row in rows:
        row.did, row.whom = did(row), whom(row)
    return rows


def add_links(request: HttpRequest, found: Sequence[Any]) -> None:
    """Give each entry the address ``link`` of its object's page, if that still exists and the operator may see it.

    One query for any number of entries.
    """
    named: dict[type[Model], set[str]] = {}
    for entry in found:
        model = _model(entry)
        if model in admin.site._registry and may_view(model._meta.label_lower)(request):
            named.setdefault(model, set()).add(entry.object_id)
    there = _existing(named)
    links = {model: f"admin:{model._meta.app_label}_{model._meta.model_name}_change" for model in named}
    for entry in found:
        model = _model(entry)
        is_there = (_label(entry), entry.object_id) in there
        entry.link = reverse(links[model], args=[quote(entry.object_id)]) if model and is_there else ""


def _existing(named: dict[type[Model], set[str]]) -> set[tuple[str, str]]:
    """Which of these objects exist, as the label of the model and the key."""
    queries: list[Any] = []
    for model, keys in named.items():
        rows = model._default_manager.filter(pk__in=keys).order_by()
        label = Value(model._meta.label_lower, output_field=TextField())
        queries.append(rows.values_list(label, Cast(F("pk"), TextField())))
    return set(queries[0].union(*queries[1:], all=True)) if queries else set()


def _model(entry: LogEntry) -> Any:
    kind = entry.content_type_id and ContentType.objects.get_for_id(entry.content_type_id)
    return kind.model_class() if kind else None


def _label(entry: LogEntry) -> str:
    model = _model(entry)
    return model._meta.label_lower if model else ""
