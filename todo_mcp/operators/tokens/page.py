"""What the page of a token shows below its fields: its record if it was revoked, and what it did."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from oauth2_provider.models import AccessToken

from tasks.operators.activity_form import activity_url
from todo_mcp.admin_kit.site import may_view
from todo_mcp.auth.models import RevokedToken
from todo_mcp.auth.oauth.connected_apps import is_oauth_client
from todo_mcp.operators.tokens.access import REVOKE, revoked_by
from todo_mcp.statistics.models import TokenDay
from todo_mcp.statistics.token_days import days_of

ROWS = 60  # of days and clients that the page shows at first

Button = tuple[str, str]  # label and address


@dataclass(frozen=True)
class DayRow:
    """The calls of one client on one day, and the address of the changes of that day."""

    row: TokenDay
    activity: str


def find_revoked(token_id: int) -> AccessToken | None:
    """A revoked token in the shape of a token, which is not in the database any more. ``record`` is what is known."""
    record = RevokedToken.objects.select_related("application").filter(pk=token_id).first()
    if record is None:
        return None
    columns = ("user_id", "application", "scope", "created", "expires")
    token = AccessToken(pk=record.pk, **{name: getattr(record, name) for name in columns})
    token.record, token.usable, token.used_at = record, False, record.last_used_at
    return token


def page_of(request: HttpRequest, token: AccessToken) -> dict[str, Any]:
    """The template's data, with one query for what the token did."""
    rows = list(days_of(token.pk)[: None if "all" in request.GET else ROWS + 1])
    may_see_tasks = may_view("tasks.task")(request)
    shown = rows if "all" in request.GET else rows[:ROWS]
    record = getattr(token, "record", None)
    return {
        "record": record,
        "revoked_by": revoked_by(record) if record else "",
        "days": [DayRow(row, _changes_url(token.pk, row.day, row.day) if may_see_tasks else "") for row in shown],
        "has_more": len(rows) > len(shown),
        "may_revoke_all": bool(token.user_id) and request.user.has_perm(REVOKE) and may_view("users.user")(request),
    }


def links_of(request: HttpRequest, token: AccessToken) -> Iterator[Button]:
    """Where an operator goes on from this token."""
    if may_view("tasks.task")(request):
        yield "Activity", _changes_url(token.pk, token.created.date(), _last_day(token))
    client = token.application
    if is_oauth_client(client):
        yield "OAuth client", reverse("admin:oauth2_provider_application_change", args=[client.pk])
        if token.user_id:
            yield "Connection", connection_url(client.pk, token.user_id)


def _changes_url(token_id: int, first: date, last: date) -> str:
    """The page of all changes with this token on these days (UTC)."""
    since, until = (datetime.combine(day, time.min) for day in (first, last + timedelta(days=1)))
    return activity_url(token=token_id, since=since, until=until)


def _last_day(token: AccessToken) -> date:
    """The last day on which the token can have changed something. Its last use is known to within 5 minutes."""
    used_at: datetime = getattr(token, "used_at", None) or timezone.now()
    return (used_at + timedelta(minutes=10)).date()


def connection_url(application_id: int, user_id: str) -> str:
    """The page of one user's connection with one OAuth client."""
    return reverse("admin:oauth2_provider_application_connection", args=[application_id, quote(user_id)])
