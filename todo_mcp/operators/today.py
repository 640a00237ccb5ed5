"""The figures of today that the first page begins with, each against yesterday up to the same time of the day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlencode

from django.db.models import Count, Model, Q
from django.db.models.functions import TruncDate
from django.urls import reverse

from todo_mcp.operators.calls.address import calls_url
from todo_mcp.statistics.reports import CallFilter, active_clients, calls, total
from todo_mcp.statistics.spans import DAY, span_of


@dataclass(frozen=True)
class Figure:
    """A number of today, the same number of yesterday, and the page behind it. ``is_worse`` marks more errors."""

    label: str
    today: str
    yesterday: str
    url: str
    is_worse: bool = False


@dataclass(frozen=True)
class Daily:
    """Numbers of rows by UTC day. ``yesterday`` counts only those up to the same time of the day."""

    counts: Mapping[date, int]
    yesterday: int


def by_day(model: type[Model], field: str, since: datetime, now: datetime) -> Daily:
    """The number of rows per UTC day of this time field. One query on an index."""
    rows = model._default_manager.filter(**{f"{field}__gte": since}).order_by()
    early = Count(field, filter=Q(**{f"{field}__lt": now - DAY}))
    days = rows.values_list(TruncDate(field)).annotate(n=Count("*"), early=early)
    numbers = {day: (count, count_early) for day, count, count_early in days}
    yesterday = numbers.get((now - DAY).date(), (0, 0))[1]
    return Daily({day: count for day, (count, _) in numbers.items()}, yesterday)


def figures_of_calls(now: datetime) -> list[Figure]:
    """The calls, the share of errors, and the clients. Two queries."""
    span = span_of("today", now)
    tally = total(calls(CallFilter()), span)
    clients, clients_before = active_clients(span)
    is_worse = tally.share > tally.share_before
    share, share_before = f"{tally.share:.1f} %", f"{tally.share_before:.1f} %"
    return [
        Figure("Calls", f"{tally.calls:,}", f"{tally.calls_before:,}", calls_url(span="today")),
        Figure("Share of errors", share, share_before, calls_url(span="today", outcome="errors"), is_worse),
        Figure("Active clients", f"{clients:,}", f"{clients_before:,}", f"{calls_url(span='today')}#by-client"),
    ]


def figure_of_rows(label: str, model: type[Model], field: str, daily: Daily, now: datetime) -> Figure:
    """The rows of today, with the list that shows them."""
    today = now.date()
    days = urlencode({f"{field}_from": today, f"{field}_to": today})
    url = f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_changelist')}?{days}"
    return Figure(label, f"{daily.counts.get(today, 0):,}", f"{daily.yesterday:,}", url)
