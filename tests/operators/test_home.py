"""The admin's first page: what it counts, for whom, and at what cost."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tasks.models import Task
from tests.support.factories import MessageFactory, TaskFactory, UserFactory
from tests.support.operators import sign_in, staff_with
from todo_mcp.operators import dashboard
from todo_mcp.statistics.models import CallStatistics
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def count_calls(tool: str, outcome: str, calls: int, slowest: float = 5.0) -> None:
    CallStatistics.objects.create(
        hour=timezone.now(),
        tool=tool,
        outcome=outcome,
        client="<b>Inspector</b>",
        transport="mcp",
        calls=calls,
        milliseconds_total=calls * 2.0,
        milliseconds_max=slowest,
        slowest_request_id="abc123",
    )


def test_the_page_counts_added_and_completed_tasks_by_day(client: Client, alice: User) -> None:
    now = timezone.now()
    for days in (0, 1, 1, 13, 14, 400):
        TaskFactory.create(user=alice, created_at=now - timedelta(days=days))
    Task.objects.filter(created_at__lt=now - timedelta(days=5)).update(completed=True, completed_at=now)
    page = client.get("/admin/").content.decode()
    assert ">4 added<" in page and ">3 completed<" in page
    yesterday = f"{now - timedelta(days=1):%Y-%m-%d}"
    assert re.search(rf"<td>{yesterday}</td><td>2</td><td>0</td>", page)


def test_the_page_shows_calls_refusals_failures_slow_calls_and_clients(client: Client) -> None:
    count_calls("add_task", "success", 1200)
    count_calls("add_task", "invalid_arguments", 30)
    count_calls("add_task", "internal_error", 2, slowest=812)
    page = client.get("/admin/").content.decode()
    row = re.search(r"<td><code>add_task</code></td>(.*?)</tr>", page, re.DOTALL)
    assert row and re.findall("<td[^>]*>(.*?)</td>", row[1]) == ["1,232", "30", "2", "2.0", "812"]
    assert "abc123" in page and "&lt;b&gt;Inspector" in page and "<b>Inspector" not in page


def test_the_count_of_a_large_table_is_an_estimate_and_marked_as_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "COUNT_MAX", 3)
    for _ in range(5):
        TaskFactory.create()
    page = client.get("/admin/").content.decode()
    assert "≈ " in page and "estimate" in page


def test_the_page_makes_eleven_queries_whatever_the_amount_of_data(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/admin/")
    for number in range(20):
        MessageFactory.create()
        TaskFactory.create()
        count_calls(f"tool_{number}", "success", 1)
    # session, operator, sizes; tasks added, completed, conversations, users by day; three for calls; the log
    with django_assert_num_queries(11):
        client.get("/admin/")


def test_an_operator_sees_counts_only_of_tables_that_they_may_view() -> None:
    page = staff_with("view_task").get("/admin/").content.decode()
    assert "<h2>Tasks</h2>" in page
    assert not any(f"<h2>{title}</h2>" in page for title in ("Conversations", "Users", "By tool"))
    assert "todo-plot" not in sign_in(UserFactory.create(id="erin", is_staff=True)).get("/admin/").content.decode()


def test_the_groups_of_operators_exist() -> None:
    assert set(Group.objects.values_list("name", flat=True)) >= {"Read-only operators", "Operators"}
