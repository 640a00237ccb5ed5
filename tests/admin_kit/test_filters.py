"""The filters of a list are one form with its search and its order, so that nothing is dropped when it is sent."""

import re
from html import unescape
from urllib.parse import parse_qsl, urlencode

import pytest
from django.test import Client

from tasks.models import Task
from tests.support.factories import TaskFactory
from tests.support.operators import LISTS, sign_in
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db

# For each list, a value for each of its filters, its search and its order
FILTERED = {
    "tasks": {
        "q": "milk",
        "status": "completed",
        "due": "none",
        "priority": "low",
        "tag": "home",
        "user": "bob",
        "created_at_from": "2026-01-01",
    },
    "conversations": {"q": "milk", "user": "bob", "role": "user", "updated_at_to": "2026-02-01", "o": "-5"},
    "users": {"q": "b", "is_active__exact": "1", "is_staff__exact": "0"},
    "tokens": {"q": "b", "kind": "user", "state": "valid", "user": "bob"},
}


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def form_of(page: str) -> dict[str, str]:
    """What a browser sends with the form of the search and the filters, without its empty fields."""
    form = re.search('<form id="changelist-search".*?</form>', page, re.DOTALL)
    assert form
    fields = dict(re.findall(r'<input[^>]*? name="(\w+)"[^>]*? value="([^"]*)"', form[0]))
    fields |= {name: value for value, name in re.findall(r'<input[^>]*? value="([^"]*)"[^>]*? name="(\w+)"', form[0])}
    for name, options in re.findall(r'<select name="(\w+)">(.*?)</select>', form[0], re.DOTALL):
        chosen = re.search('value="([^"]*)" selected', options)
        fields[name] = chosen[1] if chosen else ""
    return {name: unescape(value) for name, value in fields.items() if value}


@pytest.mark.parametrize("name", LISTS)
def test_applying_filters_keeps_every_filter_the_search_and_the_order(client: Client, name: str) -> None:
    page = client.get(LISTS[name], FILTERED[name])
    assert page.status_code == 200
    assert form_of(page.content.decode()) == FILTERED[name]


@pytest.mark.parametrize("name", LISTS)
def test_each_active_filter_has_a_link_that_removes_only_it(client: Client, name: str) -> None:
    filters = set(FILTERED[name]) - {"q", "o"}
    page = client.get(LISTS[name], FILTERED[name]).content.decode()
    active = re.search('<ul class="todo-active".*?</ul>', page, re.DOTALL)
    assert active
    *removals, all_of_them = [
        dict(parse_qsl(unescape(url).removeprefix("?"))) for url in re.findall('href="([^"]*)"', active[0])
    ]
    assert sorted([*set(FILTERED[name]) - set(left)] for left in removals) == sorted([one] for one in filters)
    assert set(all_of_them) == set(FILTERED[name]) - filters


def test_a_filter_is_shown_in_words(client: Client) -> None:
    query = {"status": "completed", "created_at_from": "2026-01-01", "created_at_to": "2026-02-01"}
    page = client.get(LISTS["tasks"], query).content.decode()
    assert "Status: <bdi>Completed</bdi>" in page
    assert "Created: <bdi>from 2026-01-01 to 2026-02-01</bdi>" in page


def test_a_list_without_filters_shows_none_as_active(client: Client, alice: User) -> None:
    assert "todo-active" not in client.get(LISTS["tasks"], {"q": "milk"}).content.decode()


def test_empty_fields_of_the_form_leave_the_address(client: Client) -> None:
    answer = client.get(LISTS["tasks"], {"q": "", "status": "completed", "tag": "", "user": "a&b"})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{LISTS['tasks']}?status=completed&user=a%26b")
    assert client.get(LISTS["users"], {"is_active__exact": ""}).headers["Location"] == LISTS["users"]


def test_an_action_after_applying_filters_hits_only_rows_that_they_show(client: Client, alice: User, bob: User) -> None:
    """The order of clicks that once completed a task of another state: Completed, user bob, Apply, select all."""
    pending = TaskFactory.create(user=bob)
    done = TaskFactory.create(user=bob, completed=True, completed_at=pending.created_at)
    chosen = form_of(client.get(LISTS["tasks"], {"status": "completed"}).content.decode())
    query = urlencode(chosen | {"user": "bob"})
    page = client.get(f"{LISTS['tasks']}?{query}").content.decode()
    shown = re.findall('name="_selected_action" value="([0-9]+)"', page)
    assert shown == [str(done.pk)]
    client.post(f"{LISTS['tasks']}?{query}", {"action": "reopen_task", "_selected_action": shown, "index": "0"})
    assert set(Task.objects.values_list("completed", flat=True)) == {False}
    assert Task.objects.get(pk=pending.pk).version == 1


def test_an_empty_list_says_why(client: Client, alice: User) -> None:
    assert "There are no tasks yet." in client.get(LISTS["tasks"]).content.decode()
    page = client.get(LISTS["conversations"], {"user": "nobody"}).content.decode()
    assert 'Nothing found. Change or <a href="?">reset the filters</a>.' in page
