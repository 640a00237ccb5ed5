"""What operators ask of the calls: how many in a time, against the time before, by tool, outcome, client and hour.

The numbers come from the call statistics, which know the hour. If a filter names a user, a field, a token or a
request, they come from the kept refused calls instead.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Func, Q, QuerySet, Sum, Value
from django.db.models.functions import TruncDay, TruncHour

from todo_mcp.statistics.models import CallStatistics, RefusedCall
from todo_mcp.statistics.services import FAILURES
from todo_mcp.statistics.spans import HOUR, Span
from todo_mcp.statistics.tallies import Tally, summed, tallies

TOOLS_MAX = 1000  # more than there are
_SUCCESS, _FAILED = Q(outcome="success"), Q(outcome__in=FAILURES)
# What a filter by outcome may name beside an outcome.
KINDS = {"errors": ~_SUCCESS, "refused": ~_SUCCESS & ~_FAILED, "failed": _FAILED}


@dataclass(frozen=True, kw_only=True)
class CallFilter:
    """Which calls a report is about; None means any. The tool "" stands for requests refused at sign-in.

    ``outcome`` is an outcome or one of ``KINDS``. The last four are known only of kept refused calls.
    """

    tool: str | None = None
    outcome: str | None = None
    client: str | None = None
    user: str | None = None
    field: str | None = None
    token: int | None = None
    request: str | None = None

    @property
    def is_of_kept(self) -> bool:
        """Whether only the kept refused calls can answer."""
        return any(value is not None for value in (self.user, self.field, self.token, self.request))

    @property
    def condition(self) -> Q:
        lookups = {"user": "user_id", "field": "fields__contains", "token": "token_id", "request": "request_id"}
        values = {one.name: getattr(self, one.name) for one in fields(self)} | {"field": self.field and [self.field]}
        kind = KINDS.get(values["outcome"] or "")
        if kind is not None:
            del values["outcome"]
        given = {lookups.get(name, name): value for name, value in values.items() if value is not None}
        return Q(**given) & (kind or Q())


def calls(which: CallFilter) -> QuerySet[Any]:
    """The rows that a report counts. Each has ``hour``, ``n`` calls, ``tool``, ``outcome`` and ``client``."""
    if which.is_of_kept:
        return kept_calls(which)
    rows: QuerySet[Any] = CallStatistics.objects.annotate(n=F("calls"))
    return rows.filter(which.condition).order_by()


def kept_calls(which: CallFilter) -> QuerySet[Any]:
    """The kept refused calls, as rows that a report counts."""
    rows: QuerySet[Any] = RefusedCall.objects.annotate(hour=F("at"), n=Value(1))
    return rows.filter(which.condition).order_by()


def calls_of_users(which: CallFilter) -> QuerySet[Any]:
    """The kept refused calls of users. Each row also has the ``user_id``."""
    return kept_calls(which).exclude(user_id=None)


def wrong_fields(which: CallFilter) -> QuerySet[Any]:
    """The kept refused calls, once for each ``field`` that was wrong."""
    one_field = Func(F("fields"), function="unnest", set_returning=True)
    rows: QuerySet[Any] = kept_calls(which).annotate(field=one_field)
    return rows


def lines(which: CallFilter, span: Span) -> QuerySet[RefusedCall]:
    """The kept refused calls of the span, newest first."""
    rows = RefusedCall.objects.filter(which.condition, at__gte=span.start, at__lt=span.until)
    return rows.order_by("-at", "-id")


def total(rows: QuerySet[Any], span: Span) -> Tally:
    """All calls of the span together. One query."""
    return summed(tallies(rows, span, ["tool"], TOOLS_MAX)["tool"])


def bars(rows: QuerySet[Any], span: Span) -> dict[datetime, Tally]:
    """The calls of each bar of the span's chart that has any, by its start. One query."""
    start = (TruncHour if span.step == HOUR else TruncDay)("hour")
    shown = rows.filter(hour__gte=span.start, hour__lt=span.until).values(bar=start)
    numbers = shown.annotate(
        sum=Sum("n"),
        refused=Sum("n", filter=KINDS["refused"], default=0),
        failed=Sum("n", filter=KINDS["failed"], default=0),
    )
    return {bar: Tally("", *counted) for bar, *counted in numbers.values_list("bar", "sum", "refused", "failed")}


def active_clients(span: Span) -> tuple[int, int]:
    """How many clients called a tool in the span, and in the time before, to the end of its last hour. One query."""
    rows = CallStatistics.objects.exclude(tool="").exclude(client="")
    numbers = {
        name: Count("client", distinct=True, filter=Q(hour__gte=start, hour__lt=end))
        for name, start, end in (("now", span.start, span.until), ("before", *span.before))
    }
    found = rows.filter(hour__gte=span.before[0]).aggregate(**numbers)
    return found["now"], found["before"]
