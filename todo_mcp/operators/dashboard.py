"""The admin's first page: table sizes, events per day, and call statistics.

It stays fast on large tables. The counts per day read only an index of the time, for the last DAYS days. A table is
counted up to COUNT_MAX rows. Beyond that, the page shows PostgreSQL's estimate and marks it as one.
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
from todo_mcp.operators.log import latest_of
from todo_mcp.statistics.services import calls_by_tool, clients_seen, slowest_calls
from todo_mcp.users.models import User

DAYS = 14  # days that the plots show
CALL_DAYS = 7  # days that the call statistics cover
ROWS = 8  # rows of a statistics table on the page
COUNT_MAX = 20_000  # rows; larger tables are estimated
STEP, TOP = 10, 100  # in SVG units: the width of a day, the height of the highest bar

_SIZE = sql.SQL("""
    SELECT {name}, (SELECT count(*) FROM (SELECT FROM {table} LIMIT {bound}) AS counted),
        (SELECT reltuples::bigint FROM pg_class WHERE oid = {name}::regclass)
""")


@dataclass(frozen=True)
class Size:
    """The number of rows in a table: exact, or an estimate."""

    rows: int
    estimated: bool


@dataclass(frozen=True)
class Bar:
    """A bar of a plot, in SVG units."""

    series: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Day:
    """One day of a plot: its count for each series, and its bars."""

    date: date
    x: int
    counts: list[int]
    summary: str
    bars: list[Bar]


@dataclass(frozen=True)
class Plot:
    """A bar chart by day. The template draws it as SVG."""

    title: str
    series: list[str]
    days: list[Day]
    highest: int
    step: int = STEP
    width: int = DAYS * STEP
    height: int = TOP

    @property
    def totals(self) -> list[tuple[str, int]]:
        """The name and the sum of each series."""
        return [(name, sum(day.counts[n] for day in self.days)) for n, name in enumerate(self.series)]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the first page's context what this operator may see."""
    plots: dict[str, Callable[[], list[Plot]]] = {
        "tasks.task": lambda: [
            plot("Tasks", {"added": by_day(Task, "created_at"), "completed": by_day(Task, "completed_at")})
        ],
        "conversations.conversation": lambda: [plot("Conversations", {"started": by_day(Conversation, "created_at")})],
        "users.user": lambda: [plot("Users", {"new": by_day(User, "created_at")})],
    }
    context["tiles"] = tiles(request)
    context["plots"] = [chart for model, charts in plots.items() if may_view(model)(request) for chart in charts()]
    context["recent"] = latest_of(request)
    context["days"], context["call_days"] = DAYS, CALL_DAYS
    if may_view("statistics.callstatistics")(request):
        context |= {
            "calls": calls_by_tool(days=CALL_DAYS),
            "slowest": slowest_calls(days=CALL_DAYS, limit=ROWS),
            "clients": clients_seen(days=CALL_DAYS, limit=ROWS),
        }
    return context


def tiles(request: HttpRequest) -> list[dict[str, Any]]:
    """The tables that the operator may view, with their sizes."""
    tables: list[tuple[str, str, type[Model], str]] = [
        ("Users", "person", User, "users.user"),
        ("Tasks", "task_alt", Task, "tasks.task"),
        ("Conversations", "forum", Conversation, "conversations.conversation"),
        ("Messages", "chat", Message, "conversations.conversation"),
    ]
    visible = [table for table in tables if may_view(table[3])(request)]
    sizes = table_sizes([model for _, _, model, _ in visible])
    return [
        {
            "title": title,
            "icon": icon,
            "size": sizes[model._meta.db_table],
            "url": reverse(f"admin:{name.replace('.', '_')}_changelist"),
        }
        for title, icon, model, name in visible
    ]


def table_sizes(models: Sequence[type[Model]]) -> dict[str, Size]:
    """The size of each model's table, by table name, in one query."""
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
            name: Size(max(count, estimate), True) if count > COUNT_MAX else Size(count, False)
            for name, count, estimate in cursor.fetchall()
        }


def by_day(model: type[Model], field: str) -> dict[date, int]:
    """The number of rows per UTC day of this time field, for the last DAYS days. One query on an index."""
    rows = model._default_manager.filter(**{f"{field}__gte": _first_day()}).order_by()
    return dict(rows.values_list(TruncDate(field)).annotate(n=Count("*")))


def plot(title: str, series: dict[str, dict[date, int]]) -> Plot:
    """Build a plot in which the bars of the series are side by side on each day."""
    first = _first_day().date()
    dates = [first + timedelta(days=n) for n in range(DAYS)]
    highest = max((counts.get(day, 0) for counts in series.values() for day in dates), default=0)
    days = []
    width = (STEP - 2) / len(series)
    for number, day in enumerate(dates):
        left, counts = number * STEP, [daily.get(day, 0) for daily in series.values()]
        heights = [round(TOP * count / (highest or 1), 1) for count in counts]
        bars = [Bar(n, left + 1 + n * width, TOP - height, width, height) for n, height in enumerate(heights)]
        summary = ", ".join(f"{count:,} {name}" for count, name in zip(counts, series, strict=True))
        days.append(Day(day, left, counts, summary, bars))
    return Plot(title, list(series), days, highest)


def _first_day() -> datetime:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=DAYS - 1)
