"""Reverting a task to a version: the admin asks first, a service does it, and the history gets a new version."""

import re
from typing import Any

import pytest
from django.test import Client

from tasks import services
from tasks.history import revert_task
from tasks.models import Task, TaskEvent
from tests.support.factories import TaskFactory
from tests.support.operators import LISTS, sign_in, staff_with
from todo_mcp.core.errors import TaskNotFound
from todo_mcp.users.models import User

pytestmark = pytest.mark.usefixtures("committed")  # each call is a transaction of its own, as in the server


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def task(alice: User) -> Task:
    """A task of Alice's with three versions."""
    task: Task = TaskFactory.create(user=alice, title="Milk", description="Two litres")
    services.update_task(user_id="alice", task_id=task.pk, title="Oat milk", description="")
    services.complete_task(user_id="alice", task_id=task.pk)
    return task


def versions(task: Task) -> list[dict[str, Any]]:
    return list(TaskEvent.objects.filter(pgh_obj_id=task.pk).order_by("pgh_id").values())


def url(task: Task, version: object) -> str:
    """The page that asks whether to revert the task to this version."""
    return f"{LISTS['tasks']}{task.pk}/revert/?version={version}"


def revert(client: Client, task: Task, version: object) -> Any:
    """Answer the question about the task as it is now."""
    return client.post(url(task, version), {"seen": Task.objects.values_list("version", flat=True).get(pk=task.pk)})


def test_revert_is_offered_for_every_version_that_differs_and_never_by_get(client: Client, task: Task) -> None:
    first, second, _ = versions(task)
    page = client.get(f"{LISTS['tasks']}{task.pk}/change/").content.decode()
    assert re.findall(r"/revert/\?version=(\d+)", page) == [str(second["pgh_id"]), str(first["pgh_id"])]
    assert client.get(f"{url(task, first['pgh_id'])}&seen=3").status_code == 200
    assert len(versions(task)) == 3


def test_revert_asks_first_and_shows_what_will_change(client: Client, task: Task) -> None:
    first = versions(task)[0]
    page = client.get(url(task, first["pgh_id"])).content.decode()
    assert "Reopened" in page
    assert "<del><bdi>Oat milk</bdi></del>" in page and "<ins><bdi>Milk</bdi></ins>" in page
    assert len(versions(task)) == 3


def test_revert_restores_text_and_state_as_a_new_version(client: Client, task: Task) -> None:
    first = versions(task)[0]
    response = revert(client, task, first["pgh_id"])
    assert response.headers["Location"] == f"{LISTS['tasks']}{task.pk}/change/"
    task.refresh_from_db()
    assert (task.title, task.description, task.completed, task.completed_at) == ("Milk", "Two litres", False, None)
    *_, latest = versions(task)
    assert latest["title"] == "Milk" and len(versions(task)) == 4
    assert latest["pgh_context"].items() >= {"user": "operator", "client": "admin", "tool": "revert_task"}.items()
    assert task.updated_at == latest["updated_at"] > first["updated_at"]


def test_a_revert_is_refused_if_the_task_is_no_longer_what_the_operator_saw(client: Client, task: Task) -> None:
    page = url(task, versions(task)[0]["pgh_id"])
    seen = client.get(page).context["fields"]
    services.update_task(user_id="alice", task_id=task.pk, title="Soy milk")
    response = client.post(page, dict(seen))
    assert response.headers["Location"] == page and len(versions(task)) == 4
    shown = client.get(page)
    assert "the task has changed since this page was shown" in str(*shown.context["messages"])
    assert "<del><bdi>Soy milk</bdi></del>" in shown.content.decode()
    client.post(page, dict(shown.context["fields"]))
    assert versions(task)[-1]["title"] == "Milk"


def test_a_revert_can_be_reverted(client: Client, task: Task) -> None:
    first, _, third = versions(task)
    for version in (first, third):
        revert(client, task, version["pgh_id"])
    task.refresh_from_db()
    assert (task.title, task.completed, task.completed_at) == ("Oat milk", True, third["completed_at"])


@pytest.mark.parametrize("version", ["0", "x", "999999999", "", "99999999999999999"])
def test_reverting_to_a_missing_version_changes_nothing(client: Client, task: Task, version: str) -> None:
    response = revert(client, task, version)
    assert response.status_code == 302 and len(versions(task)) == 3


def test_a_version_of_another_task_is_refused(client: Client, task: Task, bob: User) -> None:
    other = TaskFactory.create(user=bob, title="Bread")
    revert(client, task, versions(other)[0]["pgh_id"])
    with pytest.raises(TaskNotFound):
        revert_task(user_id="bob", task_id=task.pk, version_id=versions(task)[0]["pgh_id"])
    assert len(versions(task)) == 3


def test_a_deleted_task_cannot_be_reverted_before_it_is_restored(client: Client, task: Task) -> None:
    services.delete_task(user_id="alice", task_id=task.pk)
    assert revert(client, task, versions(task)[0]["pgh_id"]).status_code == 403
    assert "/revert/" not in client.get(f"{LISTS['tasks']}{task.pk}/change/").content.decode()


def test_an_operator_who_may_only_view_cannot_revert(task: Task) -> None:
    assert revert(staff_with("view_task"), task, versions(task)[0]["pgh_id"]).status_code == 403
    assert len(versions(task)) == 3


def test_a_missing_task_cannot_be_reverted(client: Client) -> None:
    for key in ("0", "x", "99999999999999999999"):
        assert client.post(f"{LISTS['tasks']}{key}/revert/", {"version": "1"}).status_code == 403
