"""The admin's first page: today against yesterday, table sizes, events per day, and call statistics.

It stays fast on large tables. The counts per day read only an index of the time, for the last DAYS days. A table is
counted up to COUNT_MAX rows. Beyond that, the page shows PostgreSQL's estimate and marks it as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from psycopg import sql

from conversations.models import Conversation, Message
from tasks.models import Task
from todo_mcp.admin_kit.site import may_view
from todo_mcp.operators.calls.address import calls_url
from todo_mcp.operators.log import latest_of
from todo_mcp.operators.today import Figure, by_day, figure_of_rows, figures_of_calls
from todo_mcp.statistics.services import calls_by_tool, clients_seen, slowest_calls
from todo_mcp.statistics.spans import DAY, start_of_day
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


# The counts of rows by day: the figure of today, the model, its time field, the plot and the series in it.
_ROWS: tuple[tuple[str, type[Model], str, str, str], ...] = (
    ("New tasks", Task, "created_at", "Tasks", "added"),
    ("Completed tasks", Task, "completed_at", "Tasks", "completed"),
    ("New conversations", Conversation, "created_at", "Conversations", "started"),
    ("New users", User, "created_at", "Users", "new"),
)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the first page's context what this operator may see."""
    now = timezone.now()
    figures: list[Figure] = []
    plots: dict[str, dict[str, Mapping[date, int]]] = {}
    if may_view("statistics.callstatistics")(request):
        figures += figures_of_calls(now)
        context |= {
            "calls": calls_by_tool(days=CALL_DAYS),
            "slowest": slowest_calls(days=CALL_DAYS, limit=ROWS),
            "clients": clients_seen(days=CALL_DAYS, limit=ROWS),
            "calls_url": calls_url(span=f"{CALL_DAYS}d"),
        }
    for label, model, field, title, series in _ROWS:
        if may_view(model._meta.label_lower)(request):
            daily = by_day(model, field, _first_day(now), now)
            figures.append(figure_of_rows(label, model, field, daily, now))
            plots.setdefault(title, {})[series] = daily.counts
    context |= {"figures": figures, "yesterday": now - DAY, "tiles": tiles(request), "recent": latest_of(request)}
    context["plots"] = [plot(title, series, _first_day(now).date()) for title, series in plots.items()]
    context["days"], context["call_days"] = DAYS, CALL_DAYS
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


def plot(title: str, series: Mapping[str, Mapping[date, int]], first: date) -> Plot:
    """Build a plot from this day on, in which the bars of the series are side by side on each day."""
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


def _first_day(now: datetime) -> datetime:
    return start_of_day(now) - (DAYS - 1) * DAY
