"""The parts of a user's admin page below the form: tokens, tasks that are due, latest tasks and conversations."""

from collections.abc import Callable
from datetime import time
from typing import Any

from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest
from django.urls import reverse

from conversations.models import Conversation
from tasks.clock import clock_in, due_in, zone_of
from tasks.models import PRIORITIES, Task
from tasks.operators.activity_form import activity_url
from todo_mcp.admin_kit.site import may_view
from todo_mcp.auth.oauth.connected_apps import connected_apps, is_oauth_client
from todo_mcp.auth.tokens import NEVER, list_tokens
from todo_mcp.dates.zones import at, show_in_words
from todo_mcp.operators.calls.address import calls_url
from todo_mcp.operators.log import latest_about
from todo_mcp.operators.tokens.connections import connection_rows
from todo_mcp.quotas.services import usage_of
from todo_mcp.quotas.usage import today
from todo_mcp.statistics.token_use import last_used

LATEST = 5  # tasks, and conversations, that the page shows
TOKENS_MAX = 50
DUE_LINKS = [("overdue", "All overdue"), ("today", "Today"), ("week", "This week"), ("none", "Without a day")]
LISTS = [
    ("Tasks", "tasks.task"),
    ("Conversations", "conversations.conversation"),
    ("Tokens", "oauth2_provider.accesstoken"),
]


def links(request: HttpRequest, user_id: str) -> list[tuple[str, str]]:
    """Labels and addresses of the user's lists that the operator may see."""
    pages = [
        ("Activity", "tasks.task", activity_url(user=user_id)),
        ("Refused calls", "statistics.callstatistics", calls_url(span="7d", user=user_id)),
    ]
    for label, model in LISTS:
        pages.append((label, model, reverse(f"admin:{model.replace('.', '_')}_changelist", query={"user": user_id})))
    return [(label, url) for label, model, url in pages if may_view(model)(request)]


def may_export(request: HttpRequest) -> bool:
    """Whether the operator may export a user: only if they may view all the lists in an export."""
    return all(may_view(model)(request) for _, model in LISTS)


def overview(request: HttpRequest, user_id: str, time_zone: str) -> dict[str, Any]:
    """The template's data: usage, tokens, tasks and conversations; None for a list that the operator may not see.

    One query for the usage, for the operators' log and for each list, and one for the last use of the tokens. The usage
    is counted, by three more, if the user has never written.
    """
    visible = {label: may_view(model)(request) for label, model in LISTS}
    tasks = Task.objects.filter(user_id=user_id, deleted_at=None).order_by("-created_at", "-id")
    chats = Conversation.objects.filter(user_id=user_id).order_by("-updated_at", "-id")
    return {
        "log": latest_about(user_id) if may_view("admin.logentry")(request) else None,
        "usage": _usage(user_id),
        **(_tokens(user_id) if visible["Tokens"] else {}),
        "tasks": list(tasks.values("pk", "title", "completed", "created_at")[:LATEST]) if visible["Tasks"] else None,
        "due_links": DUE_LINKS,
        "due": _due(user_id, time_zone) if visible["Tasks"] else None,
        "conversations": list(chats.values("pk", "title", "updated_at")[:LATEST]) if visible["Conversations"] else None,
    }


def _usage(user_id: str) -> list[dict[str, Any]]:
    """What the user has used of each quota, in words. Without a quota, only writes are counted."""
    usage = usage_of(user_id)
    rows: list[tuple[str, int, int, Callable[[int], str]]] = [
        ("Tasks that are not deleted", usage.tasks, settings.QUOTA_TASKS, intcomma),
        ("Stored", usage.bytes, settings.QUOTA_BYTES, _megabytes),
        ("Writes today, in UTC", usage.writes_on(today()), settings.QUOTA_WRITES, intcomma),
    ]
    return [
        {
            "label": label,
            "used": in_words(max(0, used)) if limit or label.startswith("Writes") else "not counted",
            "limit": in_words(limit) if limit else "none",
        }
        for label, used, limit, in_words in rows
    ]


def _megabytes(count: int) -> str:
    return f"{count / 10**6:,.1f} MB"


def _due(user_id: str, time_zone: str) -> list[dict[str, Any]]:
    """The open tasks that are due first, overdue ones included, with their due dates in the user's zone."""
    clock = clock_in(zone_of(time_zone))
    names = ("pk", "title", "due_on", "due_at", "priority", "tags", "repeat")
    open_tasks = Task.objects.filter(user_id=user_id, completed=False, deleted_at=None).values(*names)
    days = open_tasks.filter(due_on__isnull=False).order_by("due_on", "-created_at", "-id")[:LATEST]
    moments = open_tasks.filter(due_at__isnull=False).order_by("due_at", "-created_at", "-id")[:LATEST]
    rows: list[dict[str, Any]] = list(days.union(moments, all=True))
    for row in rows:
        due = due_in(row["due_on"], row["due_at"], clock.zone)
        assert due is not None
        row["due"], row["is_overdue"] = show_in_words(due, clock), clock.is_past(due)
        row["priority"] = PRIORITIES[row["priority"]] if row["priority"] else ""
    rows.sort(key=lambda row: at(row["due_on"], time(), clock.zone) if row["due_on"] else row["due_at"])
    return rows[:LATEST]


def _tokens(user_id: str) -> dict[str, Any]:
    """The newest usable tokens, and the connected apps that have some of them. Two queries."""
    rows = list(list_tokens(user_id=user_id).select_related("application", "refresh_token")[: TOKENS_MAX + 1])
    shown = rows[:TOKENS_MAX]
    use_times = last_used(row.pk for row in shown)
    apps = connected_apps(row for row in shown if is_oauth_client(row.application))
    tokens = [
        {
            "pk": row.pk,
            "name": row.application.name if row.application else "—",
            "scopes": row.scope.split(),
            "expires": None if row.expires >= NEVER else row.expires,
            "last_used": use_times.get(row.pk),
        }
        for row in shown
    ]
    return {"tokens": tokens, "apps": connection_rows(apps, use_times), "has_more_tokens": len(rows) > len(shown)}
