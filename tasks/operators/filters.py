"""Filters of the list of tasks by due date, priority and tag.

They look at a bounded number of tasks of all users, found by index: those that are due first, or the newest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Func, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import TextFilter

from tasks.clock import zone_of
from tasks.models import PRIORITIES, Task
from tasks.search import tag_key
from todo_mcp.dates.zones import at
from todo_mcp.users.services import zones_in_use

LOOKED_AT = 10_000  # tasks with a day, tasks with a moment, or newest tasks
Days = tuple[date | None, date | None]  # the first and the last, both included


@dataclass(frozen=True)
class _Zones:
    """Zones in which a filter means the same days, and the moments at which these days begin and end."""

    names: tuple[str, ...]
    first: date | None
    last: date | None
    start: datetime | None
    end: datetime | None


# For each choice, the days that it means, from today.
_CHOICES: dict[str, tuple[str, Callable[[date], Days]]] = {
    "overdue": ("Overdue", lambda today: (None, today - timedelta(days=1))),
    "today": ("Today", lambda today: (today, today)),
    "tomorrow": ("Tomorrow", lambda today: (today + timedelta(days=1), today + timedelta(days=1))),
    "week": ("This week", lambda today: (_monday(today), _monday(today) + timedelta(days=6))),
    "later": ("After this week", lambda today: (_monday(today) + timedelta(days=7), None)),
    "any": ("Any day", lambda today: (None, None)),
}
NO_DAY = "none"


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


class DueFilter(admin.SimpleListFilter):
    """By the due date of open tasks, read in the zone of each task's owner."""

    title = "due date of open tasks"
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((name, label) for name, (label, _) in _CHOICES.items()), (NO_DAY, "No day")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        return queryset  # see ``narrowed``


class PriorityFilter(admin.SimpleListFilter):
    title = "priority"
    parameter_name = "priority"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.capitalize()) for name in reversed(PRIORITIES)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        return queryset.filter(priority=PRIORITIES.index(self.value())) if self.value() in PRIORITIES else queryset


class TagFilter(TextFilter):  # type: ignore[misc] # unfold publishes no types
    """By one tag, without regard to case."""

    title = "tag"
    parameter_name = "tag"
    template = "admin/filter_text.html"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        return queryset  # see ``narrowed``


def narrowed(queryset: QuerySet[Task], chosen: Mapping[str, str]) -> QuerySet[Task]:
    """The tasks that fit these parameters of the page, among at most LOOKED_AT of each kind."""
    user_id, due, tag = (chosen.get(name, "") for name in ("user", DueFilter.parameter_name, TagFilter.parameter_name))
    tasks = Task.objects.filter(user_id=user_id) if user_id else Task.objects.all()
    if due in _CHOICES:
        queryset = _due(queryset, tasks.filter(completed=False, deleted_at=None), due)
    elif due == NO_DAY or tag.strip() or chosen.get(PriorityFilter.parameter_name):
        newest: Any = _newest(tasks, by_user=bool(user_id))
        queryset = queryset.filter(pk__in=newest)
    if due == NO_DAY:
        queryset = queryset.filter(completed=False, deleted_at=None, due_on=None, due_at=None)
    return _tagged(queryset, tag.strip()) if tag.strip() else queryset


def _newest(tasks: QuerySet[Task], *, by_user: bool) -> QuerySet[Task, Any]:
    """The ids of the newest tasks. For a user, there are indexes for the list and for the trash."""
    if not by_user:
        return tasks.order_by("-pk").values("pk")[:LOOKED_AT]
    newest = tasks.order_by("-created_at", "-pk").values("pk")
    listed, trash = newest.filter(deleted_at=None)[:LOOKED_AT], newest.filter(deleted_at__isnull=False)[:LOOKED_AT]
    return listed.union(trash, all=True)


def _due(queryset: QuerySet[Task], open_tasks: QuerySet[Task], due: str) -> QuerySet[Task]:
    """The tasks that are due in these days, in the zone of their owners."""
    now = timezone.now()
    zones = _zones(due, now)
    fits = Q(pk__in=[])
    for group in zones:
        moment_fits = Q(due_at__lt=now) if due == "overdue" else _between("due_at", group.start, group.end)
        fits |= Q(user__time_zone__in=group.names) & (_between("due_on", group.first, _after(group.last)) | moment_fits)
    first, last = min(_known(zones, "first"), default=None), max(_known(zones, "last"), default=None)
    start, end = min(_known(zones, "start"), default=None), max(_known(zones, "end"), default=None)
    days = open_tasks.filter(_between("due_on", first, _after(last)))
    moments = open_tasks.filter(_between("due_at", start, now if due == "overdue" else end))
    ids: Any = days.order_by("due_on", "pk").values("pk")[:LOOKED_AT]
    ids = ids.union(moments.order_by("due_at", "pk").values("pk")[:LOOKED_AT], all=True)
    return queryset.filter(fits, pk__in=ids)


def _zones(due: str, now: datetime) -> list[_Zones]:
    """The zones that people have, by the days and moments that the filter means there."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name in zones_in_use():
        zone = zone_of(name)
        first, last = _CHOICES[due][1](now.astimezone(zone).date())
        start = at(first, time(), zone).astimezone(UTC) if first else None
        end = at(last + timedelta(days=1), time(), zone).astimezone(UTC) if last else None
        groups.setdefault((first, last, start, end), []).append(name)
    return [_Zones(tuple(names), *means) for means, names in groups.items()]


def _known(zones: list[_Zones], name: str) -> list[Any]:
    return [value for group in zones if (value := getattr(group, name)) is not None]


def _after(day: date | None) -> date | None:
    return day + timedelta(days=1) if day else None


def _between(field: str, first: object, end: object) -> Q:
    """From the first value on, before the end. None is no limit; but the field must be set."""
    limits = {f"{field}__gte": first, f"{field}__lt": end}
    return Q(**{f"{field}__isnull": False}, **{name: value for name, value in limits.items() if value is not None})


def _tagged(queryset: QuerySet[Task], tag: str) -> QuerySet[Task]:
    """The tasks with this tag in any of the spellings that they have."""
    tags = queryset.order_by().annotate(one=Func("tags", function="unnest")).values_list("one", flat=True).distinct()
    spellings = [one for one in tags if tag_key(one) == tag_key(tag)]
    return queryset.filter(tags__overlap=spellings) if spellings else queryset.none()
