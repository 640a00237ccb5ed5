"""Every combination of filters and sorts finds what a plain model finds, on one page and on many."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.plugin import DjangoDbBlocker

from tasks.clock import clock_of
from tasks.lists import services, statement
from tasks.lists.answer import TaskList
from tasks.lists.services import list_tasks
from tasks.models import Task
from tests.support.factories import TaskFactory, UserFactory
from tests.tasks.lists import model

NOW = datetime(2026, 11, 21, 16, 5, tzinfo=UTC)  # a Saturday
ZONES = ("UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu", "Pacific/Pago_Pago")
COUNT = 60

phrases = st.sampled_from(
    ["today", "..today", "tomorrow", "this week", "last 7 days", "2026-11-20..", "2026-11-19..2026-11-24", "last month"]
)
FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from(["all", "pending", "completed", "deleted"]),
    "due": phrases | st.sampled_from(["overdue", "none", "any"]),
    "completed_on": phrases,
    "created_on": phrases,
    "priority": st.sampled_from(["none", "low", "medium", "high"]),
    "tag": st.sampled_from(["work", "WORK", "at home", "unknown"]),
    "query": st.sampled_from(["number", "task 1", "numb -2", "WORK", "nowhere"]),
    "task_id": st.integers(0, COUNT - 1),
    "sort": st.sampled_from(["newest", "due", "priority"]),
}
calls = st.fixed_dictionaries({}, optional=FILTERS)


@pytest.fixture(scope="module")
def tasks(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[list[Task]]:
    """Tasks of one user, with due dates around ``NOW``, and as many of another user."""
    chance = random.Random(7)

    def near(days: int) -> datetime:
        return NOW + timedelta(minutes=chance.choice([0, 1, -1, 30, chance.randrange(-1440 * days, 1440 * days)]))

    def fields(number: int) -> dict[str, Any]:
        due = near(4)
        kind = number % 3
        done = near(5) if chance.random() < 0.4 else None
        return {
            "created_at": NOW - timedelta(hours=chance.randrange(0, 240)) if number % 4 else NOW,
            "due_on": due.date() if kind == 0 else None,
            "due_at": due.replace(second=0) if kind == 1 else None,
            "completed": done is not None,
            "completed_at": done,
            "deleted_at": near(3) if chance.random() < 0.2 else None,
            "priority": chance.randrange(4),
            "tags": chance.sample(["Work", "at home", "x"], chance.randrange(3)),
        }

    with django_db_blocker.unblock(), transaction.atomic():
        user, other = UserFactory.create(id="lister"), UserFactory.create(id="other")
        rows = [TaskFactory.create(user=user, **fields(number)) for number in range(COUNT)]
        for number in range(COUNT):
            TaskFactory.create(user=other, **fields(number))
        yield rows
        transaction.set_rollback(True)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def pages(limit: int, **arguments: Any) -> list[TaskList]:
    """All pages of a list."""
    found = [list_tasks(user_id="lister", limit=limit, **arguments)]
    while found[-1].next_cursor:
        assert len(found) <= 5 * COUNT, "the pages do not end"
        found.append(list_tasks(user_id="lister", limit=limit, cursor=found[-1].next_cursor, **arguments))
    return found


@pytest.fixture(params=["few", "many", "cut"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """How the statement finds tasks: all that one filter selects, or in the order of the list, or with a low bound."""
    if request.param != "few":
        for module in (statement, services):
            monkeypatch.setattr(module, "TOTAL_MAX", 3)
    if request.param == "cut":
        monkeypatch.setattr(statement, "READ_MAX", 12)
    statement.statement.cache_clear()
    yield request.param
    statement.statement.cache_clear()


@pytest.mark.usefixtures("now")
def test_a_list_has_what_the_filters_say_in_the_order_of_its_sort(
    tasks: list[Task], way: str, django_db_blocker: DjangoDbBlocker
) -> None:
    @given(calls, st.sampled_from(ZONES), st.sampled_from([1, 2, 7, 100]))
    def check(arguments: dict[str, Any], zone: str, limit: int) -> None:
        if "task_id" in arguments:
            arguments["task_id"] = tasks[arguments["task_id"]].pk
        wanted = [task.pk for task in model.expected(tasks, clock_of(zone), **arguments)]
        answers = pages(limit, time_zone=zone, **arguments)
        listed = [task["task_id"] for answer in answers for task in answer.tasks]
        if way == "cut" and arguments.get("status") == "deleted" and arguments.get("sort") in ("due", "priority"):
            return  # only the newest ones of the trash are sorted
        assert listed == wanted
        for answer in answers:
            if answer.total_is_exact:
                assert answer.total == len(wanted) <= statement.TOTAL_MAX
            else:
                assert answer.total <= len(wanted)
                assert way == "cut" or answer.total == statement.TOTAL_MAX < len(wanted)

    with django_db_blocker.unblock():
        check()
