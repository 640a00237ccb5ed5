"""The admin's first page: what it counts, for whom, and at what cost."""

import html
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
    row = re.search(r"<code>add_task</code></a></td>(.*?)</tr>", page, re.DOTALL)
    cells = re.findall("<td[^>]*>(.*?)</td>", row[1]) if row else []
    assert [re.sub("<[^>]*>", "", cell) for cell in cells] == ["1,232", "30", "2", "2.0", "812"]
    assert "abc123" in page and "&lt;b&gt;Inspector" in page and "<b>Inspector" not in page


def figures(page: str) -> dict[str, tuple[str, str, str]]:
    """The figures of today: by label the number, that of yesterday, and the link."""
    found = re.findall(
        r'<a href="([^"]*)"><strong[^>]*>([^<]*)</strong> <span>([^<]*)</span> <small>([^<]*) yesterday</small>', page
    )
    return {label: (today, yesterday, html.unescape(url)) for url, today, label, yesterday in found}


def test_the_page_begins_with_today_against_yesterday_up_to_the_same_time(
    operator: User, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now().replace(hour=14, minute=30, second=0, microsecond=0)
    monkeypatch.setattr(timezone, "now", lambda: now)
    today = now.replace(hour=0, minute=0)
    for at in (now, now - timedelta(hours=23), now - timedelta(hours=25), now - timedelta(hours=26)):
        TaskFactory.create(user=alice, created_at=at, completed=True, completed_at=at)
    User.objects.update(created_at=now - timedelta(days=3))
    for at, outcome, client_name in (
        (today, "success", "a"),
        (today, "busy", "b"),
        (today - timedelta(hours=10), "success", "a"),
        (today - timedelta(hours=9), "success", "c"),
    ):
        count_calls("add_task", outcome, 10)
        CallStatistics.objects.filter(hour__gt=now - timedelta(seconds=1)).update(hour=at, client=client_name)
    page = sign_in(operator).get("/admin/").content.decode()  # a session of the real time may have ended by then
    assert "compared with yesterday until 14:30" in page
    day, calls, tasks = f"{today:%Y-%m-%d}", "/admin/statistics/callstatistics/?span=today", "/admin/tasks/task/"
    assert figures(page) == {
        "Calls": ("20", "5", calls),  # half of the hour from 14:00
        "Share of errors": ("50.0 %", "0.0 %", f"{calls}&outcome=errors"),
        "Active clients": ("2", "1", f"{calls}#by-client"),
        "New tasks": ("1", "2", f"{tasks}?created_at_from={day}&created_at_to={day}"),
        "Completed tasks": ("1", "2", f"{tasks}?completed_at_from={day}&completed_at_to={day}"),
        "New conversations": (
            "0",
            "0",
            f"/admin/conversations/conversation/?created_at_from={day}&created_at_to={day}",
        ),
        "New users": ("0", "0", f"/admin/users/user/?created_at_from={day}&created_at_to={day}"),
    }


def test_each_figure_leads_to_the_rows_that_it_counts(client: Client, alice: User) -> None:
    yesterday = timezone.now() - timedelta(days=1)
    TaskFactory.create(user=alice, title="Of today", completed=True, completed_at=timezone.now())
    TaskFactory.create(user=alice, title="Of yesterday", created_at=yesterday, completed=True, completed_at=yesterday)
    for label, (_, _, url) in figures(client.get("/admin/").content.decode()).items():
        answer = client.get(url)
        assert answer.status_code == 200, label
        if label in ("New tasks", "Completed tasks"):
            assert "Of today" in answer.content.decode() and "Of yesterday" not in answer.content.decode(), label


def test_the_figures_of_calls_lead_to_the_page_of_calls(client: Client) -> None:
    count_calls("add_task", "invalid_arguments", 3)
    count_calls("", "401", 3)
    CallStatistics.objects.filter(tool="").update(client="")  # nobody knows who was refused
    page = client.get("/admin/").content.decode()
    assert "Refused at sign-in" in page
    urls = [html.unescape(url) for url in re.findall(r'href="(/admin/statistics/[^"]*span=7d[^"]*)"', page)]
    assert len(urls) == 10  # four for each tool, the hour of the slowest call, the client
    for url in urls:
        assert ">3</strong>" in client.get(url).content.decode(), url


def test_the_count_of_a_large_table_is_an_estimate_and_marked_as_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "COUNT_MAX", 3)
    for _ in range(5):
        TaskFactory.create()
    page = client.get("/admin/").content.decode()
    assert "≈ " in page and "estimate" in page


def test_the_page_makes_thirteen_queries_whatever_the_amount_of_data(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/admin/")
    for number in range(20):
        MessageFactory.create()
        TaskFactory.create()
        count_calls(f"tool_{number}", "success", 1)
    # session, operator, sizes; tasks added, completed, conversations, users by day; five for calls; the log
    with django_assert_num_queries(13):
        client.get("/admin/")


def test_an_operator_sees_counts_only_of_tables_that_they_may_view() -> None:
    page = staff_with("view_task").get("/admin/").content.decode()
    assert "<h2>Tasks</h2>" in page
    assert not any(f"<h2>{title}</h2>" in page for title in ("Conversations", "Users", "By tool"))
    assert "todo-plot" not in sign_in(UserFactory.create(id="erin", is_staff=True)).get("/admin/").content.decode()


def test_the_groups_of_operators_exist() -> None:
    assert set(Group.objects.values_list("name", flat=True)) >= {"Read-only operators", "Operators"}
