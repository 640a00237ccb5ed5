"""The filters of the list of tasks: due dates in the zone of each task's owner, priorities and tags."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks.models import Task
from tasks.operators import filters
from tests.support.factories import TaskFactory, UserFactory
from tests.support.operators import LISTS, sign_in
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 25, 11, 30, tzinfo=UTC)  # a Wednesday; 01:30 of Thursday in Kiritimati, 00:30 in Midway


@pytest.fixture
def client(operator: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    client = sign_in(operator)
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    return client


def add(title: str, zone: str = "", **fields: Any) -> Task:
    user, _ = User.objects.get_or_create(pk=zone or "no-zone", defaults={"time_zone": zone})
    task: Task = TaskFactory.create(user=user, title=title, **fields)
    return task


def shown(client: Client, query: str) -> list[str]:
    page = client.get(f"{LISTS['tasks']}?{query}")
    assert page.status_code == 200
    return [task.title for task in page.context["cl"].result_list]


def utc(hour: int, minute: int = 0, day: int = 25) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "due", "filters_that_fit"),
    [
        ("", {"due_on": date(2026, 11, 24)}, {"overdue", "week"}),
        ("", {"due_on": date(2026, 11, 25)}, {"today", "week"}),
        ("", {"due_on": date(2026, 11, 26)}, {"tomorrow", "week"}),
        ("", {"due_on": date(2026, 11, 22)}, {"overdue"}),
        ("", {"due_on": date(2026, 11, 29)}, {"week"}),
        ("", {"due_on": date(2026, 11, 30)}, {"later"}),
        ("", {"due_at": utc(11, 29)}, {"overdue", "today", "week"}),
        ("", {"due_at": utc(11, 30)}, {"today", "week"}),
        ("", {"due_at": utc(23, 59)}, {"today", "week"}),
        ("", {"due_at": utc(0, 0, 26)}, {"tomorrow", "week"}),
        # There it is Thursday already.
        ("Pacific/Kiritimati", {"due_on": date(2026, 11, 25)}, {"overdue", "week"}),
        ("Pacific/Kiritimati", {"due_on": date(2026, 11, 26)}, {"today", "week"}),
        ("Pacific/Kiritimati", {"due_at": utc(10, 0)}, {"overdue", "today", "week"}),
        ("Pacific/Kiritimati", {"due_at": utc(9, 59)}, {"overdue", "week"}),
        ("Pacific/Kiritimati", {"due_at": utc(10, 0, 26)}, {"tomorrow", "week"}),
        ("Pacific/Kiritimati", {"due_at": utc(10, 0, 29)}, {"later"}),
        # There Wednesday has just begun.
        ("Pacific/Midway", {"due_on": date(2026, 11, 25)}, {"today", "week"}),
        ("Pacific/Midway", {"due_at": utc(10, 59)}, {"overdue", "week"}),
        ("Pacific/Midway", {"due_at": utc(11, 0)}, {"overdue", "today", "week"}),
        ("Pacific/Midway", {"due_at": utc(10, 59, 26)}, {"today", "week"}),
        ("", {}, {"none"}),
    ],
)
def test_a_due_date_is_in_exactly_the_days_of_its_owner(
    client: Client, zone: str, due: dict[str, Any], filters_that_fit: set[str]
) -> None:
    add("Milk", zone, **due)
    add("Far", "Asia/Kolkata", due_on=date(2040, 1, 1))  # so that several zones are in use
    names = ("overdue", "today", "tomorrow", "week", "later", "none")
    assert {name for name in names if "Milk" in shown(client, f"due={name}")} == filters_that_fit
    assert ("Milk" in shown(client, "due=any")) is bool(due)


def test_only_open_tasks_are_due(client: Client) -> None:
    for fields in ({"completed": True, "completed_at": NOW}, {"deleted_at": NOW}):
        add("Milk", due_on=date(2026, 11, 20), **fields)
        add("Milk", **fields)
    assert [shown(client, f"due={name}") for name in ("overdue", "any", "none")] == [[], [], []]


def test_what_is_due_first_comes_first_and_a_day_before_the_times_of_that_day(client: Client) -> None:
    add("third", due_at=utc(9, 0, 26))
    add("first", due_on=date(2026, 11, 25))
    add("fourth", due_on=date(2026, 11, 27))
    add("second", due_on=date(2026, 11, 26))
    assert shown(client, "due=any") == ["first", "second", "third", "fourth"]


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("priority=high", ["Call"]),
        ("priority=none", ["Bread", "Milk"]),
        ("priority=silly", ["Bread", "Call", "Milk"]),
        ("tag=shop", ["Call", "Milk"]),
        ("tag=SHOP", ["Call", "Milk"]),
        ("tag=sho", []),
        ("tag=straße", ["Bread"]),
        ("tag=STRASSE", ["Bread"]),
        ("tag=%25", []),
        ("tag=shop&priority=high", ["Call"]),
        ("tag=shop&user=alice", ["Milk"]),
        ("due=any&tag=shop", ["Milk"]),
        ("due=any&tag=shop&user=bob", []),
        ("due=any&q=mil", ["Milk"]),
        ("due=silly", ["Bread", "Call", "Milk"]),
        ("status=pending&due=any&priority=none&tag=shop&user=alice&q=milk", ["Milk"]),
        ("status=completed&due=any", []),
    ],
)
def test_filters_combine(client: Client, query: str, titles: list[str]) -> None:
    alice, bob = UserFactory.create(id="alice"), UserFactory.create(id="bob")
    TaskFactory.create(user=alice, title="Milk", tags=["Shop", "x"], due_on=date(2026, 11, 25))
    TaskFactory.create(user=bob, title="Call", tags=["shop"], priority=3)
    TaskFactory.create(user=bob, title="Bread", tags=["Straße"], deleted_at=NOW)
    assert sorted(shown(client, query)) == titles


@pytest.mark.parametrize(
    "query", ["due=overdue", "due=any", "due=none", "priority=high", "tag=a", "due=any&user=no-zone"]
)
def test_a_filter_looks_at_a_bounded_number_of_tasks(
    client: Client, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(filters, "LOOKED_AT", 2)
    fields: dict[str, Any] = {} if "none" in query else {"due_on": date(2026, 11, 20)}
    for number in range(4):
        add(f"{number}", priority=3, tags=["a"], **fields)
    assert sorted(shown(client, query)) == (["0", "1"] if "due" in query and "none" not in query else ["2", "3"])
    assert len(shown(client, "")) == 4


def test_the_list_names_the_zone_of_a_time_and_says_what_is_overdue(client: Client) -> None:
    add("Milk", "Europe/Berlin", due_at=utc(8, 0))
    add("Bread", "Europe/Berlin", due_on=date(2026, 11, 26))
    page = client.get(LISTS["tasks"]).content.decode()
    assert ">2026-11-25 09:00</time> <small>Europe/Berlin</small>" in page
    assert 'title="Wednesday 25 November 2026, 09:00 (Europe/Berlin)"' in page
    assert ">2026-11-26</time></td>" in page and page.count("overdue</span>") == 1
