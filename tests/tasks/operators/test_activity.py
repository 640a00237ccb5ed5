"""Operators see every change of every task, one line for each call, and find calls by what is in the address."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from tasks import services
from tasks.changes import undoing
from tasks.models import Task, TaskEvent
from tasks.operators import activity_admin
from tasks.operators.activity import CHANGES, Filters, Place, find_calls
from tests.support.operators import ACTIVITY, sign_in, staff_with
from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.postgres.history import history_context
from todo_mcp.telemetry.logs import request_id
from todo_mcp.users.models import User

pytestmark = pytest.mark.usefixtures("committed")  # each call is a transaction of its own, as in the server


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture(autouse=True)
def people(alice: User, bob: User) -> None:
    pass


def call(tool: str, user: str = "alice", *, by: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """A call as a transport records it. ``by`` replaces what it says about the caller."""
    caller = {"client": "Claude", "token": 7, "token_name": "laptop", "service": False, "request_id": "r-1"}
    with history_context(user=user, tool=tool, transport="mcp", **{**caller, **(by or {})}):
        return getattr(services, tool)(user_id=user, own_zone="Europe/Berlin", **arguments)


def page(client: Client, /, **filters: str | int) -> str:
    answer = client.get(ACTIVITY, filters)
    assert answer.status_code == 200
    return answer.content.decode()


def lines(text: str) -> list[str]:
    """The lines of the page, without tags."""
    items = re.findall(r'<li>\s*<div class="todo-pick">(.*?)</li>', text, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", item).split()) for item in items]


def test_a_line_says_when_whose_what_and_who_did_it_with_what(client: Client) -> None:
    milk = call("add_task", title="Milk").task_id
    token = getattr(find_token(issue_token(service="chat")), "pk", 0)
    chat = {"client": "chat 2", "token": token, "token_name": "chat", "service": True, "request_id": "r-2"}
    call("update_task", task_id=milk, title="Oat milk", due="2026-11-27", by=chat)
    text = page(client)
    newest, oldest = lines(text)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d alice Oat milk Title Milk → Oat milk Due ", newest), newest
    assert newest.endswith("service chat , for alice via chat 2 token chat update_task request r-2")
    assert oldest.endswith("Milk Added alice via Claude token laptop add_task request r-1")
    for address in (
        f"/admin/tasks/task/{milk}/change/",
        "/admin/users/user/alice/change/",
        f"/admin/oauth2_provider/accesstoken/{token}/change/",
    ):
        assert f'href="{address}"' in text
    assert "/accesstoken/7/" not in text  # there is no such token any more
    [address] = re.findall(r'href="(/admin/tasks/taskevent/\?request=r-2[^"]*)"', text)
    assert len(lines(client.get(html.unescape(address)).content.decode())) == 1


def test_a_call_on_many_tasks_is_one_line_that_says_how_many_more(client: Client) -> None:
    ids = [call("add_task", title=f"Task {n}").task_id for n in range(5)]
    call("complete_task", task_ids=ids)
    newest, *others = lines(page(client))
    assert len(others) == 5
    assert newest.count("Completed") == 3 and "and 2 more" in newest


def test_each_filter_narrows(client: Client) -> None:
    milk = call("add_task", title="Milk").task_id
    other = {"client": "Cursor", "token": 9, "token_name": "desk", "request_id": "r-2"}
    bread = call("add_task", "bob", title="Bread", by=other).task_id
    call("complete_task", "bob", task_id=bread, by=other | {"request_id": "r-3"})
    moment = TaskEvent.objects.latest("pgh_id").pgh_created_at
    TaskEvent.objects.filter(pgh_obj_id=milk).update(pgh_created_at=moment - timedelta(days=1))
    at = f"{moment - timedelta(minutes=1):%Y-%m-%dT%H:%M}"
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 3),
        ({"user": "bob"}, 2),
        ({"user": "nobody"}, 0),
        ({"client": "Claude"}, 1),
        ({"token": "9"}, 2),
        ({"token": "laptop"}, 1),
        ({"tool": "complete_task"}, 1),
        ({"tool": "add_task", "user": "bob"}, 1),
        ({"task": bread}, 2),
        ({"request": "r-3"}, 1),
        ({"change": "added"}, 2),
        ({"change": "completed"}, 1),
        ({"from": at}, 2),
        ({"to": at}, 1),
    ]
    for filters, count in cases:
        assert len(lines(page(client, **filters))) == count, filters


CHANGING: dict[str, dict[str, Any]] = {
    "title": {"title": "Oat milk"},
    "description": {"description": "From the market"},
    "due": {"due": "2026-11-28 10:00"},
    "other": {"priority": "high"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_filter_by_change_finds_exactly_the_calls_that_made_it(client: Client, change: str) -> None:
    milk = call("add_task", title="Milk").task_id
    for arguments in CHANGING.values():
        call("update_task", task_id=milk, **arguments)
    call("complete_task", task_id=milk)
    call("delete_task", task_id=milk)
    [line] = lines(page(client, change=change))
    tools = {"added": "add_task", "completed": "complete_task", "deleted": "delete_task"}
    assert tools.get(change, "update_task") in line


def test_an_active_filter_is_shown_and_can_be_removed(client: Client) -> None:
    text = page(client, user="alice", tool="update_task")
    assert "User id: <bdi>alice</bdi>" in text and 'href="?tool=update_task"' in text
    assert "Tool: <bdi>update_task</bdi>" in text and 'href="?user=alice"' in text


@pytest.mark.parametrize("wrong", [{"from": "yesterday"}, {"change": "colour"}, {"task": "x"}, {"task": "9" * 30}])
def test_a_filter_that_is_not_valid_finds_nothing_and_says_why(client: Client, wrong: dict[str, str]) -> None:
    call("add_task", title="Milk")
    text = page(client, **wrong)
    assert 'role="alert"' in text and lines(text) == []
    assert "Nothing to undo" in client.get(f"{ACTIVITY}undo/", wrong | {"all": "yes"}).content.decode()


@pytest.mark.parametrize("place", ["x", "-", "1-", "-1", "9" * 18 + "-1", "1-" + "9" * 19, "\u0661-\u0661"])
def test_a_place_that_no_page_links_to_is_ignored(client: Client, place: str) -> None:
    call("add_task", title="Milk")
    assert len(lines(page(client, before=place, upto=place))) == 1


def test_pages_show_every_call_once_in_order(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(7):
        call("add_task", title=f"Task {n}")
    monkeypatch.setattr(activity_admin, "LINES", 3)
    text, seen = page(client), []
    while True:
        seen += [re.findall(r"Task \d", line)[0] for line in lines(text)]
        following = re.search(r'href="(\?before=[^"]*)" rel="next"', text)
        if not following:
            break
        call("add_task", title="Task 9")  # newer calls do not move the pages
        text = client.get(ACTIVITY + following[1].replace("&amp;", "&")).content.decode()
    assert seen == [f"Task {n}" for n in range(6, -1, -1)]


def test_a_search_looks_at_a_bounded_number_of_changes_and_goes_on_from_there() -> None:
    call("add_task", title="Milk", by={"client": "Rare"})
    for n in range(5):
        call("add_task", title=f"Task {n}")
    filters, places = Filters(client="Rare"), []
    for _ in range(3):
        found = find_calls(filters, limit=50, looked_at=2)
        places += found.places
        assert found.looked_to is not None
        filters = Filters(client="Rare", before=Place.parse(str(found.looked_to)))
    assert len(places) == 1
    assert find_calls(filters, limit=50, looked_at=2).looked_to is None


def test_calls_at_the_same_moment_are_told_apart_by_their_authors() -> None:
    ids = [call("add_task", title="Milk", by={"request_id": f"r-{n}"}).task_id for n in range(2)]
    TaskEvent.objects.filter(pgh_obj_id__in=ids).update(pgh_created_at=timezone.now())
    assert len(find_calls(Filters(), limit=50).places) == 2


def test_a_change_without_an_author_and_a_removal_for_good_are_lines_too(client: Client) -> None:
    task_id = call("add_task", title="Milk").task_id
    Task.objects.filter(pk=task_id).update(title="Oat milk")
    Task.objects.filter(pk=task_id).delete()
    removed, changed, _ = lines(page(client))
    assert "Removed for good" in removed and "changed outside the application" in changed


def test_an_operator_who_may_not_see_users_and_tokens_gets_no_links_to_them() -> None:
    token = getattr(find_token(issue_token(user_id="alice")), "pk", 0)
    call("add_task", title="Milk", by={"token": token})
    text = page(staff_with("view_task"))
    assert "laptop" in text and "/accesstoken/" not in text and "/users/user/alice" not in text


def test_whoever_may_view_tasks_may_view_it_and_nobody_else() -> None:
    assert Client().get(ACTIVITY).status_code == 302
    viewer = staff_with("view_task")
    assert viewer.get(ACTIVITY).status_code == 200
    assert "Undo selected" not in page(viewer)
    User.objects.get(pk="dave").user_permissions.clear()
    assert viewer.get(ACTIVITY).status_code == 403


def test_the_number_of_queries_does_not_grow_with_the_lines(client: Client, django_assert_num_queries: Any) -> None:
    for user in ("alice", "bob"):
        ids = [call("add_task", user, title=f"Task {n}").task_id for n in range(8)]
        call("complete_task", user, task_ids=ids)
    client.get(ACTIVITY)
    with django_assert_num_queries(7):
        client.get(ACTIVITY)
    with django_assert_num_queries(6):
        client.get(f"{ACTIVITY}undo/", {"all": "yes"})


class TestUndoOfManyCalls:
    """The story: put back what one client renamed since a moment."""

    @pytest.fixture
    def renamed(self) -> list[int]:
        ids = [call("add_task", title=f"Task {n}").task_id for n in range(20)]
        for n, task_id in enumerate(ids):
            call("update_task", task_id=task_id, title=f"TASK {n}!", by={"client": "Wild"})
        call("complete_task", task_id=ids[0], by={"client": "Wild"})
        return ids

    def titles(self, ids: list[int]) -> list[str]:
        return list(Task.objects.filter(pk__in=ids).order_by("pk").values_list("title", flat=True))

    def test_it_takes_back_everything_that_the_filters_find_and_nothing_else(
        self, client: Client, renamed: list[int]
    ) -> None:
        address = f"{ACTIVITY}undo/?client=Wild&change=title&all=yes"
        question = client.get(address).content.decode()
        assert "Undo 19 calls, for 19 tasks?" in question and "changed since this call" in question  # one is completed
        reset = request_id.set("r-undo")  # as the server gives one to each request
        answer = client.post(address, follow=True)
        request_id.reset(reset)
        assert [str(message) for message in answer.context["messages"]] == [
            "Undone: 19 calls, for 19 tasks.",
            f"1 not changed: task {renamed[0]} (changed since this call).",
        ]
        assert self.titles(renamed) == ["TASK 0!"] + [f"Task {n}" for n in range(1, 20)]
        assert len(lines(answer.content.decode())) == 19  # the page shows the undos, each a line of its own
        one = TaskEvent.objects.filter(pgh_obj_id=renamed[5]).latest("pgh_id").pk
        client.post(f"{ACTIVITY}undo/?call={one}")
        assert self.titles(renamed[5:6]) == ["TASK 5!"]

    def test_calls_after_the_page_was_shown_are_not_undone(self, client: Client, renamed: list[int]) -> None:
        [upto] = re.findall(r'name="upto" value="([^"]*)"', page(client, client="Wild", change="title"))
        call("update_task", task_id=renamed[3], title="Later", by={"client": "Wild"})
        client.post(f"{ACTIVITY}undo/?client=Wild&change=title&all=yes&upto={upto}")
        assert self.titles(renamed[3:5]) == ["Later", "Task 4"]

    def test_an_undo_that_the_database_interrupts_reports_and_logs_what_was_done(
        self, client: Client, renamed: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        undo = undoing.undo
        done: list[Any] = []

        def interrupted(*args: Any) -> Any:
            if len(done) == 3:
                raise OperationalError("canceling statement due to lock timeout")
            done.append(args)
            return undo(*args)

        monkeypatch.setattr(undoing, "undo", interrupted)
        answer = client.post(f"{ACTIVITY}undo/?client=Wild&change=title&all=yes", follow=True)
        said = [str(message) for message in answer.context["messages"]]
        assert said[0] == "Undone: 3 calls, for 3 tasks." and said[-1].startswith("17 calls were not reached")
        assert LogEntry.objects.get().change_message == '{"Undone": {"tasks": 3}}'
        assert sum(title.endswith("!") for title in self.titles(renamed)) == 17

    def test_at_most_so_many_calls_are_undone_at_once_and_the_page_says_so(
        self, client: Client, renamed: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(activity_admin, "CALLS_MAX", 4)
        address = f"{ACTIVITY}undo/?client=Wild&change=title&all=yes"
        assert "these are the newest 4 calls" in client.get(address).content.decode()
        client.post(address)
        assert self.titles(renamed)[15:] == ["TASK 15!", "Task 16", "Task 17", "Task 18", "Task 19"]
