"""The kind of a list: what decides its SQL. The values are parameters. Each kind is compiled once."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from tasks.lists.arguments import SortName
from tasks.lists.cursors import Place
from tasks.lists.filters import LISTED, Filters, Span, Status, day_start
from tasks.models import PRIORITIES
from todo_mcp.dates.zones import Clock

SHORT = timedelta(days=62)


@dataclass(frozen=True)
class Shape:
    """``after`` says where the page before ended: in no page (""), or at a row of this kind.

    For ``sort: due`` the kind is on, at or none; for the other sorts it is row. ``after_completed`` says whether that
    row was a completed task, ``after_priority`` whether it had a priority.
    """

    status: Status
    sort: SortName
    due: Literal["", "span", "none"] = ""
    is_open: bool = False
    completed_on: bool = False
    created_on: bool = False
    priority: Literal["", "set", "none"] = ""
    task_id: bool = False
    tag: bool = False  # by the index of tags, which has the tasks that are not deleted
    search: bool = False
    after: str = ""
    after_completed: bool = False
    after_priority: bool = False
    is_short: bool = False  # the list is of few days, in another order than theirs
    counts: bool = False
    left_out: bool = False


def shape_of(filters: Filters, place: Place | None, *, counts: bool) -> Shape:
    asked = filters.asked
    sort: SortName = "newest" if counts else asked.sort
    by_tag = bool(asked.tag and filters.status in LISTED and not asked.query and asked.task_id is None)
    return Shape(
        status=filters.status,
        sort=sort,
        due="none" if filters.due == "none" else "span" if filters.due else "",
        is_open=filters.is_open and filters.status != "pending",
        completed_on=filters.completed_on is not None,
        created_on=filters.created_on is not None,
        priority="" if asked.priority is None else "none" if asked.priority == "none" else "set",
        task_id=asked.task_id is not None,
        tag=by_tag,
        search=bool(asked.query or asked.tag) and not by_tag,
        after="" if place is None else place.kind if sort == "due" else "row",
        after_completed=place.completed if place else False,
        after_priority=bool(place and place.priority),
        is_short=_is_short(filters.completed_on or (filters.due if sort != "due" else None)),
        counts=counts,
        left_out=filters.left_out is not None,
    )


def _is_short(span: Span | str | None) -> bool:
    return isinstance(span, Span) and span.last - span.first <= SHORT


def values_of(filters: Filters, place: Place | None, clock: Clock) -> dict[str, Any]:
    """The values of the parameters of a list of this shape."""
    asked = filters.asked
    values: dict[str, Any] = {"task_id": asked.task_id, "tag": asked.tag or None}
    values |= {"terms": filters.query.terms, "without": filters.query.without}
    values["priority"] = PRIORITIES.index(asked.priority) if asked.priority else None
    spans = {"due": filters.due, "completed": filters.completed_on, "created": filters.created_on}
    for name, span in {**spans, "left_out": filters.left_out}.items():
        if isinstance(span, Span):
            values |= {f"{name}_{part}": value for part, value in span._asdict().items()}
    if place is None:
        return values
    values |= {"after_at": place.at, "after_id": place.id, "after_priority": place.priority}
    if place.due_on:
        values |= {"after_day": place.due_on, "after_moment": day_start(place.due_on, clock.zone)}
    elif place.due_at:
        values |= {"after_day": place.due_at.astimezone(clock.zone).date(), "after_moment": place.due_at}
    return values
