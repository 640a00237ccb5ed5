"""An operator sees each call in a task's history as one thing, and takes it back as a whole."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tasks import services, undo_names
from tasks.models import Task, TaskEvent
from tests.support.operators import LISTS, sign_in, staff_with
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User

pytestmark = pytest.mark.usefixtures("committed")  # each call is a transaction of its own, as in the server


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def call(tool: str, **arguments: Any) -> Any:
    """A call of alice's, recorded as a transport records it."""
    with history_context(user="alice", tool=tool, transport="http", request_id=f"{tool}-{len(arguments)}"):
        return getattr(services, tool)(user_id="alice", own_zone="Europe/Berlin", **arguments)


@pytest.fixture
def ids(alice: User) -> list[int]:
    User.objects.update(time_zone="Europe/Berlin")
    return [call("add_task", title=title, due="2026-11-27 09:00").task_id for title in ("Milk", "Bread", "Salt")]


def page(client: Client, task_id: int) -> str:
    return client.get(f"{LISTS['tasks']}{task_id}/change/").content.decode()


def latest(task_id: int) -> int:
    event: int = TaskEvent.objects.filter(pgh_obj_id=task_id).latest("pgh_id").pk
    return event


def undo(client: Client, task_id: int, event: Any, *, confirmed: bool = True) -> Any:
    url = f"{LISTS['tasks']}{task_id}/undo/?event={event}"
    return client.post(url, follow=True) if confirmed else client.get(url, follow=True)


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
    question = undo(client, ids[1], latest(ids[1]), confirmed=False).content.decode()
    assert "Undo this call for 3 tasks?" in question and question.count("<h3>Task ") == 3
    assert visible(*ids) == after
    assert said(undo(client, ids[1], latest(ids[1]))) == [f"Undone, for task {ids[1]} and 2 more."]
    assert visible(*ids) == before
    context = TaskEvent.objects.latest("pgh_id").pgh_context
    assert context.items() >= {"user": "operator", "client": "admin", "tool": "undo"}.items() and context["undoes"]
    undo(client, ids[0], latest(ids[0]))
    assert [row[:5] for row in visible(*ids)] == [row[:5] for row in after]


def test_a_completion_and_its_next_occurrence_go_together(client: Client, ids: list[int]) -> None:
    call("update_task", task_id=ids[0], repeat="every friday")
    call("complete_task", task_id=ids[0])
    follower = Task.objects.get(previous=ids[0])
    undo(client, follower.pk, latest(follower.pk))
    follower.refresh_from_db()
    assert follower.deleted_at and not Task.objects.get(pk=ids[0]).completed


def test_an_undo_is_refused_if_one_of_the_tasks_has_changed_since(client: Client, ids: list[int]) -> None:
    call("update_task", task_ids=ids, due="+1 day")
    event = latest(ids[0])
    call("update_task", task_id=ids[2], title="Pepper")
    before = visible(*ids)
    for confirmed in (True, False):
        [message] = said(undo(client, ids[0], event, confirmed=confirmed))
        assert message.startswith(f"Nothing was done. Task {ids[2]} has changed since this call")
    assert visible(*ids) == before


def test_an_older_entry_of_the_same_task_is_refused_too(client: Client, ids: list[int]) -> None:
    call("update_task", task_id=ids[0], title="Oat milk")
    event = latest(ids[0])
    call("update_task", task_id=ids[0], title="Soy milk")
    assert "has changed since this call" in said(undo(client, ids[0], event))[0]
    assert Task.objects.get(pk=ids[0]).title == "Soy milk"


def test_undoing_an_addition_deletes_and_needs_the_permission_to_delete(ids: list[int]) -> None:
    assert undo(staff_with("view_task", "change_task"), ids[0], latest(ids[0])).status_code == 403
    assert visible(ids[0])[0][-1] is None


def test_undoing_a_deletion_restores_from_the_page_of_the_deleted_task(client: Client, ids: list[int]) -> None:
    call("delete_task", task_id=ids[0])
    [event] = re.findall(r"/undo/\?event=(\d+)", page(client, ids[0]))[:1]
    undo(client, ids[0], event)
    assert visible(ids[0])[0][-1] is None


def test_a_person_cannot_undo_what_an_operator_did(client: Client, ids: list[int]) -> None:
    done = call("update_task", task_id=ids[0], title="Oat milk")
    undo(client, ids[0], latest(ids[0]))
    again = call("update_task", undo=done.undo)
    assert "taken back before" in again.text and visible(ids[0])[0][0] == "Milk"
    task = Task.objects.get(pk=ids[0])
    with pytest.raises(InvalidArguments):  # the name that the operator's own call would have
        call("update_task", undo=undo_names.encode(task.pk, task.version))


@pytest.mark.parametrize("event", ["0", "x", "", "99999999999999999", "9" * 30])
def test_an_event_that_is_not_there_changes_nothing(client: Client, ids: list[int], event: str) -> None:
    before = TaskEvent.objects.count()
    assert undo(client, ids[0], event).status_code == 200
    assert TaskEvent.objects.count() == before


def test_an_event_of_another_task_is_refused(client: Client, ids: list[int]) -> None:
    assert "not found" in said(undo(client, ids[0], latest(ids[1])))[0]
    assert visible(ids[1])[0][-1] is None


def test_never_by_get_and_not_by_an_operator_who_may_only_view(client: Client, ids: list[int]) -> None:
    before = TaskEvent.objects.count()
    assert undo(client, ids[0], latest(ids[0]), confirmed=False).status_code == 200
    assert undo(staff_with("view_task"), ids[0], latest(ids[0])).status_code == 403
    assert TaskEvent.objects.count() == before


def test_a_change_by_sql_is_undone_too(client: Client, ids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET priority = 2 WHERE id = ANY(%s)", [ids[:2]])
    assert said(undo(client, ids[0], latest(ids[0]))) == [f"Undone, for task {ids[0]} and 1 more."]
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
    undo(client, ids[0], latest(ids[0]))
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
