"""An operator sees each call in a task's history as one thing, and takes one or many of them back."""

import html
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client

from tasks import services, undo_names
from tasks.models import Task, TaskEvent
from tests.support.operators import ACTIVITY, LISTS, sign_in, staff_with
from tests.tasks.conftest import NOW, At
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User

pytestmark = pytest.mark.usefixtures("committed")  # each call is a transaction of its own, as in the server

UNDO = f"{ACTIVITY}undo/"


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def call(tool: str, **arguments: Any) -> Any:
    """A call of alice's, recorded as a transport records it."""
    with history_context(user="alice", tool=tool, transport="http", request_id=f"{tool}-{len(arguments)}"):
        return getattr(services, tool)(user_id="alice", own_zone="Europe/Berlin", **arguments)


@pytest.fixture
def ids(alice: User, at: At) -> list[int]:
    at(NOW)
    User.objects.update(time_zone="Europe/Berlin")
    return [call("add_task", title=title, due="2026-11-27 09:00").task_id for title in ("Milk", "Bread", "Salt")]


def page(client: Client, task_id: int) -> str:
    return client.get(f"{LISTS['tasks']}{task_id}/change/").content.decode()


def latest(task_id: int) -> int:
    event: int = TaskEvent.objects.filter(pgh_obj_id=task_id).latest("pgh_id").pk
    return event


def undo(client: Client, *events: Any, confirmed: bool = True) -> Any:
    address = f"{UNDO}?{urlencode({'call': events}, doseq=True)}"
    return client.post(address, follow=True) if confirmed else client.get(address)


def revert(client: Client, task_id: int, version: int) -> None:
    url = f"{LISTS['tasks']}{task_id}/revert/?version={version}"
    client.post(url, dict(client.get(url).context["fields"]))


def said(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def visible(*ids: int) -> list[tuple[Any, ...]]:
    rows = Task.objects.filter(pk__in=ids).order_by("pk")
    return list(rows.values_list("title", "completed", "due_at", "tags", "checklist", "deleted_at"))


COUNTED = {"version", "text_version", "updated_at"}  # what goes on with each change
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("update_task", {"due": "+1 day"}),
    ("update_task", {"priority": "high", "add_tags": ["Home"], "add_items": ["Milk"]}),
    ("update_task", {"repeat": "every friday"}),
    ("complete_task", {}),
    ("delete_task", {}),
]


@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=lambda value: str(value))
def test_one_undo_takes_a_call_back_for_all_its_tasks_and_can_be_undone(
    client: Client, ids: list[int], tool: str, arguments: dict[str, Any]
) -> None:
    before = visible(*ids)
    call(tool, task_ids=ids, **arguments)
    after = visible(*ids)
    assert "changed 2 other tasks too" in page(client, ids[1])
    question = undo(client, latest(ids[1]), confirmed=False).content.decode()
    assert "Undo 1 call, for 3 tasks?" in question and question.count("<h3>Task ") == 3
    assert visible(*ids) == after
    assert said(undo(client, latest(ids[1]))) == ["Undone: 1 call, for 3 tasks."]
    assert visible(*ids) == before
    context = TaskEvent.objects.latest("pgh_id").pgh_context
    assert context.items() >= {"user": "operator", "client": "admin", "tool": "undo"}.items() and context["undoes"]
    undo(client, latest(ids[0]))
    assert [row[:5] for row in visible(*ids)] == [row[:5] for row in after]


def test_a_completion_and_its_next_occurrence_go_together(client: Client, ids: list[int]) -> None:
    call("update_task", task_id=ids[0], repeat="every friday")
    call("complete_task", task_id=ids[0])
    follower = Task.objects.get(previous=ids[0])
    undo(client, latest(follower.pk))
    follower.refresh_from_db()
    assert follower.deleted_at and not Task.objects.get(pk=ids[0]).completed


def test_a_task_that_has_changed_since_is_left_out_and_listed(client: Client, ids: list[int]) -> None:
    before = visible(*ids)
    call("update_task", task_ids=ids, due="+1 day")
    event = latest(ids[0])
    call("update_task", task_id=ids[2], title="Pepper")
    changed = visible(ids[2])
    question = undo(client, event, confirmed=False).content.decode()
    assert "Undo 1 call, for 2 tasks?" in question and "changed since this call" in question
    done, left = said(undo(client, event))
    assert done == "Undone: 1 call, for 2 tasks."
    assert left == f"1 not changed: task {ids[2]} (changed since this call)."
    assert visible(*ids) == before[:2] + changed


def test_a_completion_stays_if_its_next_occurrence_has_changed(client: Client, ids: list[int]) -> None:
    call("update_task", task_id=ids[0], repeat="every friday")
    call("complete_task", task_id=ids[0])
    event, follower = latest(ids[0]), Task.objects.get(previous=ids[0])
    call("update_task", task_id=follower.pk, title="Oat milk")
    before = visible(ids[0], follower.pk)
    [message] = said(undo(client, event))
    assert f"task {follower.pk} (changed since this call)" in message
    assert f"task {ids[0]} (goes together with a task that changed since)" in message
    assert visible(ids[0], follower.pk) == before


def test_the_older_of_two_calls_alone_is_left_out(client: Client, ids: list[int]) -> None:
    call("update_task", task_id=ids[0], title="Oat milk")
    event = latest(ids[0])
    call("update_task", task_id=ids[0], title="Soy milk")
    assert said(undo(client, event)) == [f"1 not changed: task {ids[0]} (changed since this call)."]
    assert Task.objects.get(pk=ids[0]).title == "Soy milk"


def test_two_calls_on_one_task_are_taken_back_together(client: Client, ids: list[int]) -> None:
    events = []
    for title in ("Oat milk", "Soy milk"):
        call("update_task", task_id=ids[0], title=title)
        events.append(latest(ids[0]))
    question = undo(client, *events, confirmed=False).content.decode()
    assert "Undo 2 calls, for 1 task?" in question
    assert "<del><bdi>Soy milk</bdi></del>" in question and "<ins><bdi>Milk</bdi></ins>" in question
    assert "Oat milk" not in question
    assert said(undo(client, *events)) == ["Undone: 2 calls, for 1 task."]
    assert Task.objects.get(pk=ids[0]).title == "Milk"
    contexts = TaskEvent.objects.filter(pgh_context__tool="undo").values_list("pgh_created_at", flat=True)
    assert len(set(contexts)) == 2  # each in a transaction of its own


def test_undoing_an_addition_deletes_and_needs_the_permission_to_delete(client: Client, ids: list[int]) -> None:
    [message] = said(undo(staff_with("view_task", "change_task"), latest(ids[0])))
    assert "you may not delete tasks" in message and visible(ids[0])[0][-1] is None
    undo(client, latest(ids[0]))
    assert visible(ids[0])[0][-1]


def test_undoing_a_deletion_restores_from_the_page_of_the_deleted_task(client: Client, ids: list[int]) -> None:
    call("delete_task", task_id=ids[0])
    [address] = re.findall(rf'href="({UNDO}[^"]*)"', page(client, ids[0]))[:1]
    answer = client.post(html.unescape(address))
    assert answer.headers["Location"] == f"{LISTS['tasks']}{ids[0]}/change/"
    assert visible(ids[0])[0][-1] is None


def test_a_person_cannot_undo_what_an_operator_did(client: Client, ids: list[int]) -> None:
    done = call("update_task", task_id=ids[0], title="Oat milk")
    undo(client, latest(ids[0]))
    again = call("update_task", undo=done.undo)
    assert "taken back before" in again.text and visible(ids[0])[0][0] == "Milk"
    task = Task.objects.get(pk=ids[0])
    with pytest.raises(InvalidArguments):  # the name that the operator's own call would have
        call("update_task", undo=undo_names.encode(task.pk, task.version))


@pytest.mark.parametrize("event", ["0", "x", "", "99999999999999999", "9" * 30])
def test_an_event_that_is_not_there_changes_nothing(client: Client, ids: list[int], event: str) -> None:
    before = TaskEvent.objects.count()
    assert undo(client, event).status_code == 200
    assert TaskEvent.objects.count() == before


def test_never_by_get_and_not_by_an_operator_who_may_only_view(client: Client, ids: list[int]) -> None:
    before = visible(*ids)
    assert undo(client, latest(ids[0]), confirmed=False).status_code == 200
    viewer = staff_with("view_task")
    for confirmed in (True, False):
        assert undo(viewer, latest(ids[0]), confirmed=confirmed).status_code == 403
    assert visible(*ids) == before


def test_it_returns_to_a_page_of_this_site_only(client: Client, ids: list[int]) -> None:
    for url in ("https://evil.example/", "//evil.example/"):
        answer = client.post(f"{UNDO}?{urlencode({'call': latest(ids[0]), 'next': url})}")
        assert answer.headers["Location"].startswith("/admin/tasks/taskevent/?request=")


def test_a_change_by_sql_is_undone_too(client: Client, ids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET priority = 2 WHERE id = ANY(%s)", [ids[:2]])
    assert said(undo(client, latest(ids[0]))) == ["Undone: 1 call, for 2 tasks."]
    assert set(Task.objects.values_list("priority", flat=True)) == {0}


def test_two_changes_of_a_task_by_one_call_are_one_entry(client: Client, ids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN UPDATE tasks SET priority = 2; UPDATE tasks SET priority = 3; END $$")
    text = page(client, ids[0])
    assert (
        "<del><bdi>none</bdi></del>" in text
        and "<ins><bdi>high</bdi></ins>" in text
        and "<bdi>medium</bdi>" not in text
    )
    undo(client, latest(ids[0]))
    assert set(Task.objects.values_list("priority", flat=True)) == {0}


def test_the_history_says_each_change_in_words(client: Client, ids: list[int]) -> None:
    changes: dict[str, Any] = {"due": "2026-11-28", "priority": "high", "tags": ["Home", "Bank"]}
    call("update_task", task_id=ids[0], **changes, checklist=["Milk", "Bread"])
    call("update_task", task_id=ids[0], check=["Milk"], repeat="every saturday")
    text = page(client, ids[0])
    for before, after in (
        ("Friday 27 November 2026, 09:00 (Europe/Berlin)", "Saturday 28 November 2026, 09:00 (Europe/Berlin)"),
        ("none", "high"),
        ("(empty)", "Home, Bank"),
        ("(empty)", "☐ Milk\n☐ Bread"),
        ("☐ Milk", "☑ Milk"),
        ("(empty)", "FREQ=WEEKLY;BYDAY=SA, from 2026-11-28 09:00 Europe/Berlin"),
    ):
        assert re.search(
            f"<del><bdi>{re.escape(before)}</bdi></del>.{{0,80}}<ins><bdi>{re.escape(after)}</bdi></ins>",
            text,
            re.DOTALL,
        ), (before, after)


def test_a_revert_restores_every_new_field(client: Client, ids: list[int]) -> None:
    call("update_task", task_id=ids[0], priority="high", tags=["Home"], checklist=["Milk"], repeat="every friday")
    event, full = latest(ids[0]), dict(Task.objects.filter(pk=ids[0]).values().get())
    call("update_task", task_id=ids[0], clear=["due", "priority", "tags", "checklist"])
    revert(client, ids[0], event)
    now = dict(Task.objects.filter(pk=ids[0]).values().get())
    assert {name: value for name, value in now.items() if value != full[name]}.keys() <= COUNTED


def test_a_revert_to_before_a_completion_leaves_one_repeating_task(client: Client, ids: list[int]) -> None:
    call("update_task", task_id=ids[0], repeat="every friday")
    event = latest(ids[0])
    call("complete_task", task_id=ids[0])
    revert(client, ids[0], event)
    repeating = Task.objects.filter(completed=False, deleted_at=None).exclude(repeat="")
    assert [task.pk for task in repeating] == [ids[0]]
