"""Reads the pages of list_tasks while the list changes: no task that stays in the list is skipped or repeated."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.lists.arguments import Status
from tasks.models import Task
from tasks.services import add_task, complete_task, delete_task, list_tasks, update_task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory, UserFactory
from todo_mcp.core.pagination import Position
from todo_mcp.users.models import User

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

# A change between two pages, and the index of the task that it changes, modulo the number of tasks.
change = st.tuples(st.sampled_from(["add", "delete", "complete", "update"]), st.integers(0, 20))
moments = st.lists(st.integers(0, 3), min_size=1, max_size=12)


def apply_change(user_id: str, kind: str, index: int) -> None:
    task_ids = list(Task.objects.filter(user_id=user_id, deleted_at=None).values_list("pk", flat=True))
    if kind == "add" or not task_ids:
        add_task(user_id=user_id, title="Added meanwhile")
        return
    task_id = task_ids[index % len(task_ids)]
    if kind == "delete":
        delete_task(user_id=user_id, task_id=task_id)
    elif kind == "complete":
        complete_task(user_id=user_id, task_id=task_id)
    else:
        update_task(user_id=user_id, task_id=task_id, title="Updated meanwhile")


def matching(user_id: str, status: str) -> set[int]:
    completed = {"all": [True, False], "pending": [False], "completed": [True]}[status]
    return set(
        Task.objects.filter(user_id=user_id, deleted_at=None, completed__in=completed).values_list("pk", flat=True)
    )


def walk(user_id: str, status: str, limit: int, between: Callable[[], None]) -> tuple[list[dict[str, Any]], set[int]]:
    """Read all pages. Returns every task on them, and the ids of the tasks that stayed in the list."""
    tasks: list[dict[str, Any]] = []
    stable_ids = matching(user_id, status)
    page = list_tasks(user_id=user_id, status=status, limit=limit)  # type: ignore[arg-type]
    while True:
        assert page.returned == len(page.tasks) <= limit
        assert page.has_more == (page.next_cursor is not None)
        assert page.total == len(matching(user_id, status))
        tasks += page.tasks
        if page.next_cursor is None:
            return tasks, stable_ids & matching(user_id, status)
        between()
        stable_ids &= matching(user_id, status)
        page = list_tasks(user_id=user_id, status=status, limit=limit, cursor=page.next_cursor)  # type: ignore[arg-type]


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments, st.lists(change, max_size=30), st.sampled_from(["all", "pending", "completed"]), st.integers(1, 4))
def test_no_page_skips_or_repeats_a_task_that_stays_in_the_list(
    seconds_of_tasks: list[int], changes: list[tuple[str, int]], status: str, limit: int
) -> None:
    user = UserFactory.create()
    for n, second in enumerate(seconds_of_tasks):
        completed_at = NOON if n % 3 == 0 else None
        created_at = NOON + timedelta(seconds=second)
        TaskFactory.create(user=user, created_at=created_at, completed=bool(completed_at), completed_at=completed_at)
    next_changes = iter(changes)

    def between() -> None:
        for kind, index in [next(next_changes, ("update", 0)) for _ in range(2)]:
            apply_change(user.pk, kind, index)

    tasks, stable_ids = walk(user.pk, status, limit, between)
    positions = [(task["created_at"], task["task_id"]) for task in tasks]
    assert positions == sorted(set(positions), reverse=True)
    assert stable_ids <= {task["task_id"] for task in tasks}


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["all", "pending"])
def test_pages_of_any_size_show_the_same_list(status: str) -> None:
    user = UserFactory.create()
    for n in range(25):
        TaskFactory.create(user=user, created_at=NOON + timedelta(seconds=n // 10))
    whole = [task["task_id"] for task in list_tasks(user_id=user.pk).tasks]
    for limit in (1, 2, 5, 9, 24, 25, 26):
        tasks, _ = walk(user.pk, status, limit, lambda: None)
        assert [task["task_id"] for task in tasks] == whole


@pytest.mark.django_db
def test_a_cursor_past_the_last_task_gives_an_empty_page_with_the_total() -> None:
    user = UserFactory.create()
    TaskFactory.create_batch(3, user=user)
    page = list_tasks(user_id=user.pk, cursor=Position(datetime.min.replace(tzinfo=UTC), 1).encode())
    assert (page.tasks, page.returned, page.total, page.has_more, page.next_cursor) == ([], 0, 3, False, None)
    status = "Pending and completed tasks, because status was left out."
    assert page.message() == f"Showing 0 of 3. This is the last page. {status}"


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["all", "pending"])
def test_a_total_is_exact_up_to_a_thousand_and_then_says_that_there_are_more(status: Status) -> None:
    user = UserFactory.create()
    Task.objects.bulk_create(Task(user=user, title=f"Task {n}", created_at=NOON) for n in range(1000))
    page = list_tasks(user_id=user.pk, status=status)
    assert (page.total, page.total_is_exact, page.message().split(".")[0]) == (1000, True, "Showing 50 of 1000")
    oldest = Position(NOON, 1).encode()
    TaskFactory.create(user=user)
    page = list_tasks(user_id=user.pk, status=status)
    assert (page.total, page.message().split(".")[0]) == (1000, "Showing 50 of more than 1000")
    assert page.data()["total_is_exact"] is False
    page = list_tasks(user_id=user.pk, status=status, cursor=oldest)
    assert (page.returned, page.total, page.total_is_exact) == (0, 1000, False)
    assert page.message() == "Showing 0 of more than 1000. This is the last page."


@pytest.mark.django_db
def test_a_cursor_before_the_first_task_gives_the_first_page() -> None:
    user = UserFactory.create()
    TaskFactory.create_batch(3, user=user)
    cursor = Position(datetime.max.replace(tzinfo=UTC), 2**63 - 1).encode()
    assert list_tasks(user_id=user.pk, cursor=cursor).tasks == list_tasks(user_id=user.pk).tasks


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_the_next_cursor_leads_to_the_next_page(as_alice: Caller, alice: User, orm: Orm, door: str) -> None:
    task_ids = await orm(lambda: [task.pk for task in TaskFactory.create_batch(7, user=alice, created_at=NOON)])
    listed_ids: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        data = (await as_alice.call(door, "list_tasks", limit=3, **cursor))["data"]
        listed_ids += [task["task_id"] for task in data["tasks"]]
        if not data["has_more"]:
            break
        cursor = {"cursor": data["next_cursor"]}
    assert listed_ids == sorted(task_ids, reverse=True)
