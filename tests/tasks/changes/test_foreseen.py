"""What one statement writes without knowing the task is what the change of the known task writes."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import combinations, product
from typing import Any

from tasks.changes.editing import edit, foresee
from tasks.models import SEEN_FIELDS
from tasks.state import TaskState
from tests.dates.clocks import WEDNESDAY

CHANGES: list[tuple[str, Any]] = [
    ("title", "New"),
    ("description", "other"),
    ("append", "more"),
    ("priority", "none"),
    ("priority", "high"),
    *product(("tags", "add_tags", "remove_tags"), (["home"], ["Work", "errand"])),
    *product(("checklist", "add_items", "remove_items", "check", "uncheck"), (["milk"], ["eggs"], ["*"])),
    *(("clear", [name]) for name in ("description", "due", "time", "priority", "tags", "repeat", "checklist")),
    *(
        ("due", phrase)
        for phrase in ("today", "friday", "friday 9am", "9am", "17:00", "tonight", "in 2 hours", "2026-12-01T10:00")
    ),
    *(("due", phrase) for phrase in ("+1 day", "+2 hours", "skip")),
]
DUE: list[dict[str, Any]] = [
    {},
    *({"due_on": day} for day in (date(2026, 11, 25), date(2026, 12, 31))),
    *({"due_at": at} for at in (datetime(2026, 11, 25, 8, tzinfo=UTC), datetime(2026, 12, 31, 17, 30, tzinfo=UTC))),
]
SERIES: list[dict[str, Any]] = [{}, {"repeat": "FREQ=DAILY", "repeat_on": date(2026, 11, 25)}]
ITEMS = [{"text": "milk", "done": True}, {"text": "bread", "done": False}]


def states() -> Iterator[TaskState]:
    for due, series, description, tags, items in product(DUE, SERIES, ("", "some"), ([], ["work"]), ([], ITEMS)):
        if due or not series:
            yield TaskState(
                title="Old", description=description, priority=2, tags=tags, checklist=items, **due, **series
            )


def test_a_foreseen_change_is_the_change_of_every_task_that_is_as_expected() -> None:
    everything = list(states())
    pairs = [dict(pair) for pair in combinations(CHANGES, 2)]
    compared = 0
    for changes in [*({name: value} for name, value in CHANGES), *pairs]:
        foreseen = foresee(changes, WEDNESDAY)
        for state in everything if foreseen else ():
            assert foreseen
            if any(getattr(state, name) != value for name, value in foreseen.expected.items()):
                continue
            edited = edit(state, changes, WEDNESDAY)
            written = {name: foreseen.values.get(name, getattr(state, name)) for name in SEEN_FIELDS}
            assert {name: getattr(edited.state, name) for name in SEEN_FIELDS} == written, (state, changes)
            assert edited.moved
            compared += 1
    assert compared > 10_000
