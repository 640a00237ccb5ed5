"""The page of calls: what it shows, for whom, where its links lead, and at what cost."""

import html
import re
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.support.factories import UserFactory
from tests.support.operators import sign_in, staff_with
from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.operators.calls import page as page_module
from todo_mcp.statistics.models import RefusedCall
from todo_mcp.statistics.recorder import Count, Key
from todo_mcp.statistics.services import add_counts
from todo_mcp.statistics.spans import DAY, HOUR, start_of_day
from todo_mcp.users.models import User

URL = "/admin/statistics/callstatistics/"
NOW = timezone.now().replace(hour=14, minute=15, second=0, microsecond=0)
TODAY = start_of_day(NOW)
HOSTILE = "<script>alert(1)</script>\u202e"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quarter_past_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("todo_mcp.operators.calls.admin.timezone.now", lambda: NOW)


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def count(hour: datetime, tool: str, outcome: str, client: str, number: int) -> None:
    add_counts({Key(hour, tool, outcome, client, "", "mcp"): Count(number, 1.0, 1.0)})


def keep(user_id: str | None = "alice", **changes: Any) -> RefusedCall:
    call: dict[str, Any] = {
        "at": TODAY + 9 * HOUR,
        "tool": "add_task",
        "outcome": "invalid_arguments",
        "token_id": None,
    }
    call |= {"client": "ChatGPT", "transport": "mcp", "fields": ["tasks.due"], "request_id": "r-1", "token_name": "key"}
    return RefusedCall.objects.create(user_id=user_id, **call | changes)


@pytest.fixture
def errors_rise(alice: User, bob: User) -> None:
    """This morning ChatGPT sends wrong due dates for Alice. Yesterday few calls were refused."""
    for hour, refused in ((TODAY + 9 * HOUR, 12), (TODAY - DAY + 9 * HOUR, 1)):
        count(hour, "add_task", "success", "ChatGPT", 100)
        count(hour, "add_task", "invalid_arguments", "ChatGPT", refused)
        count(hour, "list_tasks", "success", "Claude", 1000)
        count(hour, "list_tasks", "rate_limited", "Claude", 2)
    count(TODAY, "", "401", "", 3)
    for _ in range(12):
        keep()
    keep("bob", tool="list_tasks", outcome="rate_limited", client="Claude", fields=[])
    keep("bob", at=TODAY - DAY, fields=["title"])


def links(page: str) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'<a [^>]*href="([^"]*)"', page.split('aria-label="Time"')[1])]


def text(page: str) -> str:
    """The words of the page, without tags."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page.split('aria-label="Time"')[1])).split())


def test_one_page_shows_which_tool_client_field_and_users_made_errors_rise(client: Client, errors_rise: None) -> None:
    words = text(client.get(f"{URL}?span=today&outcome=errors").content.decode())
    assert "17 Errors 1.5 % of all calls, 0.3 % before" in words
    for rows in (
        "Tool Name Calls Refused Failed Before add_task 12 12 0 1 Refused at sign-in 3 3 0 0 list_tasks 2 2 0 2",
        "Client (self-reported) Name Calls Refused Failed Before ChatGPT 12 12 0 1 no name 3 3 0 0 Claude 2 2 0 2",
        "Outcome Name Calls Before invalid_arguments 12 1 401 3 0 rate_limited 2 2",
        "Wrong field of the kept refused and failed calls Name Calls Before tasks.due 12 0",
        "User of the kept refused and failed calls Name Calls Before alice 12 0 bob 1 1",
    ):
        assert rows in words


def test_the_page_says_with_what_it_compares(client: Client) -> None:
    yesterday = "“Before” is yesterday until 14:15 UTC, the same time of the day."
    assert yesterday in text(client.get(URL).content.decode())
    week = f"{TODAY - 13 * DAY:%Y-%m-%d} 00:00 to {NOW - 7 * DAY:%Y-%m-%d} 14:15 UTC"
    assert week in text(client.get(f"{URL}?span=7d").content.decode())


def test_only_what_the_page_knows_of_the_time_before_is_compared(client: Client, errors_rise: None) -> None:
    """The lines of the 7 days before are gone."""
    assert client.get(f"{URL}?outcome=errors").content.decode().count('class="todo-rises"') == 8
    week = client.get(f"{URL}?span=7d&outcome=errors").content.decode().split('id="by-field"')[1]
    assert "todo-rises" not in week and "Before" not in week


def test_each_number_and_bar_is_a_link_that_opens_what_it_counts(client: Client, errors_rise: None) -> None:
    count(TODAY + 10 * HOUR, "add_task", "busy", "ChatGPT", 4)
    page = client.get(URL).content.decode()
    hour = f"{TODAY:%Y-%m-%d}T09"
    for link in (
        f"?span=today&at={hour.replace(':', '%3A')}",
        "?span=today&tool=add_task&outcome=refused",
        "?span=today&tool=add_task&outcome=failed",
        "?span=today&tool=",
        "?span=today&client=ChatGPT",
        "?span=today&outcome=invalid_arguments",
        "?span=today&field=tasks.due",
        "?span=today&user=alice",
        "/admin/users/user/alice/change/",
    ):
        assert link in links(page), link
    for link in {link for link in links(page) if link.startswith("?")}:
        assert client.get(f"{URL}{link}").status_code == 200, link
    assert "4 Failed" in text(client.get(f"{URL}?span=today&tool=add_task").content.decode())


def test_filters_add_up_and_each_can_be_removed(client: Client, errors_rise: None) -> None:
    page = client.get(f"{URL}?span=today&tool=add_task&user=alice&at={TODAY:%Y-%m-%d}T09").content.decode()
    assert f"Time: {TODAY:%Y-%m-%d} 09:00 UTC Tool: add_task User: alice Remove all" in text(page).replace("\xd7 ", "")
    assert f"?span=today&tool=add_task&at={TODAY:%Y-%m-%d}T09" in links(page)
    assert "12 All calls" in text(page) and "Only refused and failed calls are known by user" in text(page)
    assert "list_tasks" not in text(page)


def test_a_day_of_a_week_opens_into_its_hours(client: Client, errors_rise: None) -> None:
    day = f"{TODAY - DAY:%Y-%m-%d}"
    assert f"?span=7d&at={day}" in links(client.get(f"{URL}?span=7d").content.decode())
    page = client.get(f"{URL}?span=7d&at={day}").content.decode()
    assert "By hour" in text(page) and f"?span=7d&at={day}T09" in links(page)
    hour = client.get(f"{URL}?span=7d&at={day}T09").content.decode()
    assert f"?span=7d&at={day}" in links(hour) and " 1,103 All calls" in text(hour)


def test_a_line_has_all_that_is_known_of_a_call(client: Client, alice: User) -> None:
    token = find_token(issue_token(user_id="alice"))
    assert token
    keep(token_id=token.pk, fields=["due", "unknown"])
    keep(None, token_id=token.pk + 1, fields=[])
    page = client.get(f"{URL}?request=r-1").content.decode()
    first = f"{TODAY + 9 * HOUR:%Y-%m-%d %H:%M:%S}"
    line = "add_task invalid_arguments {} ChatGPT key mcp r-1"
    assert f"{first} none {line.format('—')} {first} alice {line.format('due , unknown')}" in text(page)
    assert f"/admin/oauth2_provider/accesstoken/{token.pk}/change/" in links(page)
    assert f"/admin/oauth2_provider/accesstoken/{token.pk + 1}/change/" not in links(page)


def test_the_page_says_how_many_lines_were_not_kept(client: Client, errors_rise: None) -> None:
    assert "were not kept" not in text(client.get(f"{URL}?tool=list_tasks&client=none").content.decode())
    words = text(client.get(URL).content.decode())  # of 14 refused calls 13 are kept; sign-in is not meant
    assert "14 calls with these filters were refused or failed. The lines of 1 of them were not kept" in words


def test_the_lines_are_paged(client: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "LINES", 2)
    for n in range(5):
        keep(request_id=f"r-{n}")
    assert "1 to 2 of 5" in text(client.get(f"{URL}?tool=add_task").content.decode())
    page = client.get(f"{URL}?tool=add_task&page=2").content.decode()
    assert "r-2<" in page and "r-3<" not in page
    assert {"?span=today&tool=add_task&page=1#lines", "?span=today&tool=add_task&page=3#lines"} <= set(links(page))


def test_successful_changes_lead_to_the_activity_and_reads_to_the_hours(client: Client, errors_rise: None) -> None:
    activity = f"/admin/tasks/taskevent/?tool=add_task&client=ChatGPT&from={TODAY:%Y-%m-%d}T09%3A00"
    activity += f"&to={TODAY:%Y-%m-%d}T10%3A00"
    query = f"?at={TODAY:%Y-%m-%d}T09&outcome=success"
    assert activity in links(client.get(f"{URL}{query}&tool=add_task&client=ChatGPT").content.decode())
    reads = client.get(f"{URL}{query}&tool=list_tasks").content.decode()
    assert "taskevent/?" not in reads and "<details open>" in reads and "Refused and failed calls" not in reads


def test_requests_refused_at_sign_in_are_only_counted(client: Client, errors_rise: None) -> None:
    words = text(client.get(f"{URL}?tool=").content.decode())
    assert "Tool: Refused at sign-in" in words and "3 All calls" in words and "are only counted" in words


@pytest.mark.parametrize(
    "query",
    ["span=x", "at=now", "at=2026-11-27T99", "token=x", "token=", "tool=%00", "user__password=x", "q=x", "client=a%00"],
)
def test_a_filter_that_is_not_known_is_reported_and_removed(client: Client, query: str) -> None:
    answer = client.get(f"{URL}?{query}", follow=True)
    assert answer.redirect_chain == [(URL, 302)]
    assert "The address had a filter that is not known" in answer.content.decode()


@pytest.mark.parametrize("query", ["page=x", "page=-1", "page=99", "token=1", "at=2026-01-01", "span=30d", "user=%27"])
def test_any_other_address_opens(client: Client, errors_rise: None, query: str) -> None:
    assert client.get(f"{URL}?{query}").status_code == 200


def test_names_that_callers_chose_are_escaped_and_isolated(client: Client, alice: User) -> None:
    count(TODAY, "add_task", "invalid_arguments", HOSTILE, 1)
    keep(client=HOSTILE, token_name=HOSTILE)
    page = client.get(URL, {"client": HOSTILE}).content.decode()
    assert "<script>alert(1)" not in page and page.count(f"<bdi>{html.escape(HOSTILE)}</bdi>") == 2
    assert page.count(f'title="{html.escape(HOSTILE)}">{html.escape(HOSTILE)}</bdi>') == 2


def test_the_page_makes_nine_queries_whatever_the_amount_of_data(
    client: Client, errors_rise: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.get(URL)
    for number in range(30):
        count(TODAY + 9 * HOUR, f"tool_{number}", "busy", f"client {number}", 1)
        keep(UserFactory.create().pk, token_id=number, fields=[f"field_{number}"])
    # session, operator; tables, bars; fields, users; number of lines, lines, their tokens
    with django_assert_num_queries(9):
        page = client.get(URL).content.decode()
    assert "Only the first 20 are shown" in page


def test_only_operators_with_the_permission_see_the_page(client: Client) -> None:
    assert Client().get(URL).status_code == 302
    assert f'href="{URL}"' in client.get("/admin/").content.decode()
    staff = staff_with("view_task")
    assert staff.get(URL).status_code == 403
    assert f'href="{URL}"' not in staff.get("/admin/").content.decode()


def test_users_and_tokens_are_shown_only_to_operators_who_may_see_them(errors_rise: None) -> None:
    staff = staff_with("view_callstatistics")
    page = staff.get(URL).content.decode()
    assert "alice" not in page and ">key<" not in page and "taskevent/?" not in page and "tasks.due" in page
    assert staff.get(f"{URL}?user=alice").status_code == staff.get(f"{URL}?token=1").status_code == 403


@pytest.mark.parametrize("path", ["add/", "1/change/", "1/delete/", "1/history/"])
def test_there_is_nothing_to_change(client: Client, path: str) -> None:
    assert client.get(f"{URL}{path}").status_code == 404


def test_the_page_says_that_older_lines_are_gone(client: Client, alice: User) -> None:
    count(TODAY - 20 * DAY, "add_task", "busy", "ChatGPT", 3)
    day = f"{TODAY - 20 * DAY:%Y-%m-%d}"
    words = text(client.get(f"{URL}?span=30d&at={day}").content.decode())
    assert "The lines of 3 of them were not kept" in words and "lines go after 7 days" in words
