"""Cursors of filtered and sorted lists: what they are bound to, and what they bear."""

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.lists import cursors
from tasks.lists.cursors import ListCursor, Place
from tasks.lists.services import list_tasks
from tasks.models import Task
from tasks.services import add_task, delete_task, update_task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory, UserFactory
from tests.tasks.lists.conftest import NOW
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.core.pagination import Position
from todo_mcp.users.models import User

SORTS = ("newest", "due", "priority", "updated")
OTHERS: dict[str, Any] = {
    "status": "completed",
    "due": "any",
    "query": "task",
    "tag": "work",
    "priority": "none",
    "completed_on": "today",
    "created_on": "..today",
    "sort": "due",
    "time_zone": "Asia/Tokyo",
    "task_id": 1,
}


def first_page(**arguments: Any) -> str:
    cursor = list_tasks(user_id="alice", limit=1, **arguments).next_cursor
    assert cursor
    return cursor


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_a_cursor_is_refused_with_other_filters_or_another_order(
    as_alice: Caller, alice: User, orm: Orm, door: str
) -> None:
    await orm(lambda: TaskFactory.create_batch(3, user=alice, due_on=date(2030, 1, 1), priority=1, tags=["work"]))
    calls: list[dict[str, Any]] = [
        {},
        {"due": "any"},
        {"sort": "priority"},
        {"sort": "updated"},
        {"query": "task"},
        {"tag": "work", "sort": "due"},
    ]
    for arguments in calls:
        first = (await as_alice.call(door, "list_tasks", limit=1, **arguments))["data"]
        for name, value in OTHERS.items():
            if arguments.get(name) == value:
                other = {key: inner for key, inner in arguments.items() if key != name}
            else:
                other = {**arguments, name: value}
            envelope = await as_alice.call(door, "list_tasks", cursor=first["next_cursor"], **other)
            assert envelope["data"].get("fields", {}).keys() == {"cursor"}, (arguments, other)
        for alike in ({"limit": 2}, {"detail": "short"}, {"detail": "full", "limit": 2}):
            envelope = await as_alice.call(door, "list_tasks", cursor=first["next_cursor"], **arguments, **alike)
            assert envelope["status"] == "success"


@pytest.mark.django_db
def test_a_cursor_of_the_release_before_continues_a_plain_list_only(alice: User) -> None:
    tasks = TaskFactory.create_batch(3, user=alice, created_at=NOW)
    cursor = Position(NOW, tasks[1].pk).encode()
    for arguments in ({}, {"status": "pending"}, {"detail": "short"}, {"status": "all", "sort": "newest"}):
        answer = list_tasks(user_id="alice", cursor=cursor, **arguments)  # type: ignore[arg-type]
        assert [task["task_id"] for task in answer.tasks] == [tasks[0].pk]
    for arguments in ({"due": "none"}, {"sort": "due"}, {"status": "deleted"}, {"query": "task"}):
        with pytest.raises(InvalidArguments, match="cursor: "):
            list_tasks(user_id="alice", cursor=cursor, **arguments)  # type: ignore[arg-type]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("due", "days"),
    [
        ("today", [21, 21]),
        ("overdue", [19, 20]),
        ("tomorrow..", [22, 23]),
    ],
)
def test_a_cursor_keeps_the_days_of_the_first_page(
    alice: User, set_now: Callable[[datetime], None], due: str, days: list[int]
) -> None:
    for day in (19, 20, 21, 21, 22, 23):
        TaskFactory.create(user=alice, due_on=date(2026, 11, day))
    set_now(datetime(2026, 11, 21, 23, 59, tzinfo=UTC))
    arguments: dict[str, Any] = {"user_id": "alice", "due": due, "sort": "due", "limit": 1}
    first = list_tasks(**arguments)
    set_now(datetime(2026, 11, 22, 0, 1, tzinfo=UTC))
    second = list_tasks(**arguments, cursor=first.next_cursor)
    assert [page.tasks[0]["due"] for page in (first, second)] == [f"2026-11-{day}" for day in days]
    assert (first.now, second.now) == ("2026-11-21T23:59+00:00", "2026-11-22T00:01+00:00")
    assert (second.total, second.has_more) == (2, False)


changes = st.lists(st.tuples(st.sampled_from(["add", "delete", "describe"]), st.integers(0, 20)), max_size=20)


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes,
    st.sampled_from(SORTS[:3]),
    st.sampled_from([{}, {"due": "any"}, {"status": "pending"}, {"tag": "work"}, {"priority": "low"}]),
    st.integers(1, 4),
)
def test_tasks_that_are_added_or_deleted_meanwhile_let_no_other_be_missed_or_come_twice(
    changes: list[tuple[str, int]], sort: Any, filters: dict[str, Any], limit: int
) -> None:
    user = UserFactory.create()
    for n in range(12):
        TaskFactory.create(
            user=user,
            created_at=NOW + timedelta(hours=n // 3),
            due_on=date(2026, 11, 20 + n % 3) if n % 3 else None,
            due_at=NOW + timedelta(hours=6 * (n % 4)) if n % 3 == 0 and n % 2 else None,
            priority=n % 3,
            tags=["work"] if n % 2 else [],
        )
    arguments = {"user_id": user.pk, "sort": sort, "limit": limit, **filters}
    stable = [task["task_id"] for task in list_tasks(**{**arguments, "limit": 100}).tasks]
    listed: list[int] = []
    page = list_tasks(**arguments)
    waiting = iter(changes)
    while True:
        listed += [task["task_id"] for task in page.tasks]
        if not page.next_cursor:
            break
        kind, index = next(waiting, ("", 0))
        ids = list(Task.objects.filter(user=user, deleted_at=None).order_by("pk").values_list("pk", flat=True))
        task_id = ids[index % len(ids)] if ids else None
        if kind == "add":
            add_task(user_id=user.pk, title="Added", due="2026-11-21", priority="low", tags=["work"])
        elif kind == "delete" and task_id:
            delete_task(user_id=user.pk, task_id=task_id)
            stable = [one for one in stable if one != task_id]
        elif kind == "describe" and task_id:
            update_task(user_id=user.pk, task_id=task_id, description=f"After {len(listed)}")
        page = list_tasks(**arguments, cursor=page.next_cursor)
    assert len(listed) == len(set(listed))
    assert [task_id for task_id in listed if task_id in stable] == stable


@pytest.mark.django_db
def test_all_pages_by_last_change_have_each_task_once(alice: User) -> None:
    tasks = TaskFactory.create_batch(7, user=alice)
    for task in (tasks[3], tasks[0], tasks[3], tasks[5]):
        update_task(user_id="alice", task_id=task.pk, description=f"x{Task.objects.get(pk=task.pk).version}")
    listed: list[int] = []
    cursor = None
    for _ in range(4):
        page = list_tasks(user_id="alice", sort="updated", limit=2, cursor=cursor)
        listed += [task["task_id"] for task in page.tasks]
        cursor = page.next_cursor
        assert page.total == 7
    assert cursor is None
    assert listed == [tasks[number].pk for number in (5, 3, 0, 6, 4, 2, 1)]


numbers = st.integers(-(2**70), 2**70) | st.integers(0, 3)


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(numbers, min_size=1, max_size=8), st.sampled_from(SORTS), st.booleans())
def test_a_forged_cursor_is_refused_or_leads_somewhere(alice: User, parts: list[int], sort: Any, signed: bool) -> None:
    """A cursor grants nothing, so a caller may make one. It must not cause an error of the server."""
    if signed:
        TaskFactory.create_batch(2, user=alice, due_on=date(2026, 1, 1), created_at=NOW)
        genuine = list_tasks(user_id="alice", sort=sort, limit=1).next_cursor or ""
        decoded = base64.urlsafe_b64decode(genuine + "=" * (-len(genuine) % 4)).split(b".")
        kept = [int(part) for part in decoded]
        parts = [kept[0], *[new if n % 2 else old for n, (new, old) in enumerate(zip(parts, kept[1:], strict=False))]]
    text = ".".join(str(part) for part in parts)
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")[:200]
    try:
        list_tasks(user_id="alice", sort=sort, cursor=cursor)
    except InvalidArguments as error:
        assert error.details["fields"].keys() == {"cursor"}


@pytest.mark.parametrize(
    ("sort", "place"),
    [
        ("newest", Place(NOW, 7)),
        ("updated", Place(NOW, 2**63 - 1)),
        ("priority", Place(NOW, 7, completed=True, priority=3)),
        ("due", Place(NOW, 7, due_on=date(1900, 1, 1))),
        ("due", Place(NOW, 7, completed=True, due_at=datetime(9998, 12, 31, tzinfo=UTC))),
        ("due", Place(NOW, 7)),
    ],
)
def test_a_cursor_survives_a_round_trip_within_its_length(sort: Any, place: Place) -> None:
    cursor = ListCursor(2**40 - 1, NOW, place)
    text = cursor.encode(sort)
    assert len(text) <= 200
    assert cursors.decode(text, sort, NOW) == cursor
    for other in SORTS:
        if {sort, other} not in ({sort}, {"newest", "updated"}):
            with pytest.raises(ValueError, match="not a cursor"):
                cursors.decode(text, other, NOW)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a cursor"):
        cursors.decode(text, sort, NOW - timedelta(minutes=1))
