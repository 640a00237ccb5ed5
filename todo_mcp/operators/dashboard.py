"""The admin's first page: how much there is, what happened by day, and how the calls go.

It stays fast on large tables: days are counted in an index of the time, for DAYS of them; a table is counted to a
bound, and past that its size is PostgreSQL's estimate, marked as one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Model
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from psycopg import sql

from conversations.models import Conversation, Message
from tasks.models import Task
from todo_mcp.admin_kit.site import may_view
from todo_mcp.statistics.services import calls_by_tool, clients_seen, slowest_calls
from todo_mcp.users.models import User

DAYS = 14  # of the plots
CALL_DAYS = 7  # of the statistics of calls
ROWS = 8  # of a table
COUNT_MAX = 20_000  # rows that are counted rather than estimated
STEP, TOP = 10, 100  # units of a plot: the width of a day, the height of the highest bar

_SIZE = sql.SQL("""
    SELECT {name}, (SELECT count(*) FROM (SELECT FROM {table} LIMIT {bound}) AS counted),
        (SELECT reltuples::bigint FROM pg_class WHERE oid = {name}::regclass)
""")


@dataclass(frozen=True)
class Size:
    """How many rows a table has: counted, or about."""

    rows: int
    estimated: bool


@dataclass(frozen=True)
class Bar:
    """A bar of a plot, in its units."""

    series: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Day:
    """What happened on a day, a number for each series; and where its bars stand."""

    date: date
    x: int
    counts: list[int]
    words: str
    bars: list[Bar]


@dataclass(frozen=True)
class Plot:
    """Bars by day, drawn by the template as SVG."""

    title: str
    series: list[str]
    days: list[Day]
    highest: int
    step: int = STEP
    width: int = DAYS * STEP
    height: int = TOP

    @property
    def totals(self) -> list[tuple[str, int]]:
        """For each series its name and its sum."""
        return [(name, sum(day.counts[n] for day in self.days)) for n, name in enumerate(self.series)]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the template of the first page needs; the part of it that this operator may see."""
    seen: dict[str, Callable[[], list[Plot]]] = {
        "tasks.task": lambda: [
            plot("Tasks", {"added": by_day(Task, "created_at"), "completed": by_day(Task, "completed_at")})
        ],
        "conversations.conversation": lambda: [plot("Conversations", {"begun": by_day(Conversation, "created_at")})],
        "users.user": lambda: [plot("Users", {"new": by_day(User, "created_at")})],
    }
    context["tiles"] = tiles(request)
    context["plots"] = [made for model, make in seen.items() if may_view(model)(request) for made in make()]
    context["days"], context["call_days"] = DAYS, CALL_DAYS
    if may_view("statistics.callstatistics")(request):
        context |= {
            "calls": calls_by_tool(days=CALL_DAYS),
            "slowest": slowest_calls(days=CALL_DAYS, limit=ROWS),
            "clients": clients_seen(days=CALL_DAYS, limit=ROWS),
        }
    return context


def tiles(request: HttpRequest) -> list[dict[str, Any]]:
    """The tables that the operator may look into, with their sizes."""
    listed: list[tuple[str, str, type[Model], str]] = [
        ("Users", "person", User, "users.user"),
        ("Tasks", "task_alt", Task, "tasks.task"),
        ("Conversations", "forum", Conversation, "conversations.conversation"),
        ("Messages", "chat", Message, "conversations.conversation"),
    ]
    shown = [tile for tile in listed if may_view(tile[3])(request)]
    counted = sizes([model for _, _, model, _ in shown])
    return [
        {
            "title": title,
            "icon": icon,
            "size": counted[model._meta.db_table],
            "url": reverse(f"admin:{name.replace('.', '_')}_changelist"),
        }
        for title, icon, model, name in shown
    ]


def sizes(models: Sequence[type[Model]]) -> dict[str, Size]:
    """The size of each model's table, by the table's name; one query."""
    if not models:
        return {}
    names = [model._meta.db_table for model in models]
    selects = [
        _SIZE.format(name=sql.Literal(name), table=sql.Identifier(name), bound=sql.Literal(COUNT_MAX + 1))
        for name in names
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(" UNION ALL ").join(selects).as_string())
        return {
            name: Size(max(counted, estimate), True) if counted > COUNT_MAX else Size(counted, False)
            for name, counted, estimate in cursor.fetchall()
        }


def by_day(model: type[Model], field: str) -> dict[date, int]:
    """How many rows have this time on each of the last DAYS days, in UTC; one query, in the field's index alone."""
    rows = model._default_manager.filter(**{f"{field}__gte": _first_day()}).order_by()
    return dict(rows.values_list(TruncDate(field)).annotate(n=Count("*")))


def plot(title: str, series: dict[str, dict[date, int]]) -> Plot:
    """The bars of some series, side by side on each day."""
    first = _first_day().date()
    dates = [first + timedelta(days=n) for n in range(DAYS)]
    highest = max((counts.get(day, 0) for counts in series.values() for day in dates), default=0)
    days = []
    width = (STEP - 2) / len(series)
    for number, day in enumerate(dates):
        left, counts = number * STEP, [found.get(day, 0) for found in series.values()]
        heights = [round(TOP * count / (highest or 1), 1) for count in counts]
        bars = [Bar(n, left + 1 + n * width, TOP - height, width, height) for n, height in enumerate(heights)]
        words = ", ".join(f"{count:,} {name}" for count, name in zip(counts, series, strict=True))
        days.append(Day(day, left, counts, words, bars))
    return Plot(title, list(series), days, highest)


def _first_day() -> datetime:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=DAYS - 1)
