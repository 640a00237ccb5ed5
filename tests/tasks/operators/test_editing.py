"""An operator edits a task by the rules of ``update_task``, in the zone of the task's owner."""

import re
from datetime import date
from typing import Any

import pytest
from django.test import Client

from tasks import services
from tasks.models import Task, TaskEvent
from tests.support.factories import TaskFactory
from tests.support.operators import LISTS, act, sign_in, staff_with
from tests.tasks.conftest import NOW, At
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def task(alice: User, at: At) -> Task:
    at(NOW)
    User.objects.update(time_zone="Europe/Berlin")
    fields = {"due": "2026-11-27 09:00", "priority": "high", "tags": ["Home", "Bank"], "checklist": ["Milk", "Bread"]}
    added: Any = services.add_task(user_id="alice", own_zone="Europe/Berlin", title="Call", description="Ask", **fields)  # type: ignore[arg-type]
    return Task.objects.get(pk=added.task_id)


def page(client: Client, task: Task) -> Any:
    return client.get(f"{LISTS['tasks']}{task.pk}/change/")


def save(client: Client, task: Task, **changes: str) -> Any:
    """Send the form as the browser does: with the values that the page has, some of them changed."""
    form = page(client, task).context["adminform"].form
    data: dict[str, Any] = {}
    for field in form:
        data[field.html_name] = data[f"initial-{field.html_name}"] = field.value() or ""
    return client.post(f"{LISTS['tasks']}{task.pk}/change/", data | changes)


def test_the_page_shows_every_field_in_the_owners_zone(client: Client, task: Task) -> None:
    form = page(client, task).context["adminform"].form
    assert {name: form[name].value() for name in ("due", "priority", "tags", "repeat")} == {
        "due": "2026-11-27T09:00+01:00",
        "priority": "high",
        "tags": "Home, Bank",
        "repeat": "",
    }
    text = page(client, task).content.decode()
    assert "Friday 27 November 2026, 09:00 (Europe/Berlin). Read in Europe/Berlin" in text
    assert "☐ Milk" in text and "☐ Bread" in text


def test_saving_without_a_change_changes_nothing(client: Client, task: Task) -> None:
    before = TaskEvent.objects.count()
    assert save(client, task).status_code == 302
    assert TaskEvent.objects.count() == before


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"due": "2026-11-28"}, {"due_at": "2026-11-28T08:00"}),  # the time stays
        ({"due": "2026-11-28 noon"}, {"due_at": "2026-11-28T11:00"}),
        ({"due": "+1 week"}, {"due_at": "2026-12-04T08:00"}),
        ({"due": ""}, {"due_at": None, "due_on": None}),
        ({"due": "none"}, {"due_at": None, "due_on": None}),
        ({"priority": "low"}, {"priority": 1}),
        ({"priority": "none"}, {"priority": 0}),
        ({"tags": "a,  b ,A,"}, {"tags": ["a", "b"]}),
        ({"tags": ""}, {"tags": []}),
        ({"repeat": "every friday"}, {"repeat": "FREQ=WEEKLY;BYDAY=FR", "repeat_zone": "Europe/Berlin"}),
        ({"title": "Write", "description": ""}, {"title": "Write", "description": ""}),
    ],
)
def test_an_operator_changes_what_the_tool_changes(
    client: Client, task: Task, changes: dict[str, str], expected: dict[str, Any]
) -> None:
    assert save(client, task, **changes).status_code == 302
    task.refresh_from_db()
    stored = {name: getattr(task, name) for name in expected}
    if stored.get("due_at"):
        stored["due_at"] = stored["due_at"].isoformat()[:16]
    assert stored == expected
    event = TaskEvent.objects.latest("pgh_id")
    assert event.pgh_context.items() >= {"user": "operator", "client": "admin", "tool": "edit"}.items()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("due", "soon"),
        ("due", "3/4"),
        ("due", "skip"),
        ("due", "x" * 101),
        ("repeat", "every blue moon"),
        ("repeat", "FREQ=HOURLY"),
        ("tags", "a" * 31),
        ("tags", "a/b"),
        ("tags", ",".join(f"t{number}" for number in range(11))),
        ("priority", "urgent"),
        ("title", ""),
    ],
)
def test_what_the_tool_refuses_is_refused_beside_its_field(client: Client, task: Task, field: str, value: str) -> None:
    before = TaskEvent.objects.count()
    answer = save(client, task, **{field: value})
    assert answer.status_code == 200 and list(answer.context["adminform"].form.errors) == [field]
    assert TaskEvent.objects.count() == before


def opened(client: Client, task: Task) -> dict[str, Any]:
    """The values that the form sends if the operator changes nothing."""
    form = page(client, task).context["adminform"].form
    return {name: field.value() or "" for field in form for name in (field.html_name, f"initial-{field.html_name}")}


@pytest.mark.parametrize(
    ("field", "theirs", "mine"),
    [("title", "Theirs", "Mine"), ("due", "2026-11-29T09:00+01:00", "2026-11-30"), ("tags", "Work", "Bank")],
)
def test_a_field_that_somebody_changed_meanwhile_is_shown_and_saved_only_deliberately(
    client: Client, task: Task, field: str, theirs: str, mine: str
) -> None:
    url, form = f"{LISTS['tasks']}{task.pk}/change/", opened(client, task)
    save(client, task, **{field: theirs})
    before = TaskEvent.objects.count()
    refused = client.post(url, form | {field: mine})
    shown = refused.context["adminform"].form
    assert refused.status_code == 200 and list(shown.errors) == [field]
    assert re.search(
        rf"It is now: (<span[^>]*>)?<bdi>{re.escape(theirs)}<", refused.content.decode().replace("&#x2B;", "+")
    )
    assert shown[field].value() == mine and TaskEvent.objects.count() == before
    again = {name: shown.data[name] for name in form}
    assert client.post(url, again).status_code == 302 and TaskEvent.objects.count() == before + 1


def test_another_field_that_somebody_changed_meanwhile_is_no_conflict(client: Client, task: Task) -> None:
    form = opened(client, task)
    save(client, task, title="Theirs", description="Two\r\nlines")
    assert client.post(f"{LISTS['tasks']}{task.pk}/change/", form | {"priority": "low"}).status_code == 302
    task.refresh_from_db()
    assert (task.title, task.description, task.priority) == ("Theirs", "Two\nlines", 1)


def test_the_end_of_a_due_date_ends_the_repeat(client: Client, task: Task) -> None:
    save(client, task, repeat="every friday")
    assert save(client, task, due="").status_code == 302
    task.refresh_from_db()
    assert (task.repeat, task.due_at) == ("", None)


def test_completing_a_repeating_task_adds_the_next_occurrence_and_reopening_removes_it(
    client: Client, task: Task
) -> None:
    save(client, task, repeat="every friday")
    act(client, "tasks", "complete_task", task.pk)
    follower = Task.objects.get(previous=task.pk)
    assert (follower.due_at is not None, follower.repeat, follower.completed) == (True, "FREQ=WEEKLY;BYDAY=FR", False)
    act(client, "tasks", "reopen_task", task.pk)
    task.refresh_from_db()
    follower.refresh_from_db()
    assert (task.completed, follower.deleted_at is None) == (False, False)


def test_restoring_an_occurrence_never_makes_two_of_a_series_repeat(client: Client, task: Task) -> None:
    save(client, task, repeat="every friday")
    act(client, "tasks", "complete_task", task.pk)
    act(client, "tasks", "delete_task", task.pk, confirmed=True)
    Task.objects.filter(pk=task.pk).update(completed=False, completed_at=None)
    act(client, "tasks", "restore_task", task.pk)
    assert Task.objects.filter(completed=False, deleted_at=None).exclude(repeat="").count() == 1


def test_an_operator_who_may_only_view_sees_the_fields(task: Task) -> None:
    client = staff_with("view_task")
    text = page(client, task).content.decode()
    assert "2026-11-27 09:00</time> <small>Europe/Berlin</small>" in text and "Bank" in text
    assert 'name="due"' not in text and "Undo…" not in text
    assert client.post(f"{LISTS['tasks']}{task.pk}/change/", {"due": "", "initial-due": "x"}).status_code == 403


def test_the_users_page_shows_what_is_due_next(client: Client, task: Task) -> None:
    TaskFactory.create(user_id="alice", title="Old", due_on=date(2020, 1, 1), tags=["Home"])
    text = client.get(f"{LISTS['users']}alice/change/").content.decode()
    assert text.index("Wednesday 1 January 2020") < text.index("09:00 (Europe/Berlin), high priority")
    assert "?user=alice&amp;due=overdue" in text
