"""Store the counts of the workers and report them to operators. Each report is one query by the hour's index."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, Max, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.statistics.models import CallStatistics
from todo_mcp.statistics.recorder import Count, Key
from todo_mcp.statistics.spans import DAY, start_of_day

RETENTION = timedelta(days=90)
# Outcomes that are the server's fault. All others except success are refusals, which are the caller's fault.
FAILURES = ("internal_error", "busy", "500", "503")

_ADD = """
INSERT INTO call_statistics (
    hour, tool, outcome, client, revision, transport, calls, milliseconds_total, milliseconds_max, slowest_request_id
)
SELECT * FROM unnest(
    %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::bigint[], %s::float8[], %s::float8[], %s::text[]
)
ON CONFLICT (hour, tool, outcome, client, revision, transport) DO UPDATE SET
    calls = call_statistics.calls + EXCLUDED.calls,
    milliseconds_total = call_statistics.milliseconds_total + EXCLUDED.milliseconds_total,
    milliseconds_max = GREATEST(call_statistics.milliseconds_max, EXCLUDED.milliseconds_max),
    slowest_request_id = CASE WHEN EXCLUDED.milliseconds_max > call_statistics.milliseconds_max
        THEN EXCLUDED.slowest_request_id ELSE call_statistics.slowest_request_id END
"""


@dataclass(frozen=True)
class ToolCalls:
    """The calls of a tool. If ``tool`` is "", these are the requests that were refused before any tool ran."""

    tool: str
    calls: int
    refused: int
    failed: int
    milliseconds_mean: float
    milliseconds_max: float


@dataclass(frozen=True)
class SlowCall:
    """The slowest call in one row of the call statistics."""

    hour: datetime
    tool: str
    outcome: str
    client: str
    transport: str
    milliseconds: float
    request_id: str


@dataclass(frozen=True)
class Client:
    """A client with its self-reported name."""

    client: str
    calls: int
    last_hour: datetime


def add_counts(counts: Mapping[Key, Count]) -> None:
    """Add the counts to the stored ones in one statement, all or nothing. Workers may do this at the same time."""
    if not counts:
        return
    rows = [
        (*key, count.calls, count.milliseconds_total, count.milliseconds_max, count.slowest_request_id)
        for key, count in sorted(counts.items(), key=lambda item: item[0])  # a fixed order prevents deadlocks
    ]
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])


def calls_by_tool(days: int) -> list[ToolCalls]:
    """The calls of each tool in the last ``days`` days in UTC, today included, most calls first."""
    tools = (
        _since(days)
        .values("tool")
        .annotate(
            n=Sum("calls"),
            succeeded=Coalesce(Sum("calls", filter=Q(outcome="success")), 0),
            failed=Coalesce(Sum("calls", filter=Q(outcome__in=FAILURES)), 0),
            mean=Sum("milliseconds_total") / Sum("calls"),
            slowest=Max("milliseconds_max"),
        )
    )
    return [
        ToolCalls(
            tool=row["tool"],
            calls=row["n"],
            refused=row["n"] - row["succeeded"] - row["failed"],
            failed=row["failed"],
            milliseconds_mean=row["mean"],
            milliseconds_max=row["slowest"],
        )
        for row in tools.order_by("-n", "tool")
    ]


def slowest_calls(days: int, limit: int) -> list[SlowCall]:
    """The slowest calls of the last ``days`` days, slowest first. Each row of the statistics gives at most one."""
    rows = _since(days).exclude(tool="").order_by("-milliseconds_max", "-id")
    fields = ("hour", "tool", "outcome", "client", "transport")
    columns = rows.values(*fields, milliseconds=F("milliseconds_max"), request_id=F("slowest_request_id"))
    return [SlowCall(**row) for row in columns[:limit]]


def clients_seen(days: int, limit: int) -> list[Client]:
    """The clients that called a tool in the last ``days`` days, most calls first."""
    rows = _since(days).exclude(tool="").exclude(client="").values("client")
    clients = rows.annotate(n=Sum("calls"), last_hour=Max("hour")).order_by("-n", "client")
    return [Client(client=row["client"], calls=row["n"], last_hour=row["last_hour"]) for row in clients[:limit]]


def _since(days: int) -> QuerySet[CallStatistics]:
    return CallStatistics.objects.filter(hour__gte=start_of_day(timezone.now()) - (days - 1) * DAY).order_by()


def _old() -> QuerySet[Any]:
    return CallStatistics.objects.filter(hour__lt=timezone.now() - RETENTION)


OLD_STATISTICS = Purge("call statistics", _old, lambda ids: CallStatistics.objects.filter(pk__in=ids).delete())
