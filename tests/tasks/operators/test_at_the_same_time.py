"""What happens if a task changes between the check of an operator's form and its save. Nothing is overwritten."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tasks import services
from tasks.models import Task
from tests.support.factories import TaskFactory
from tests.support.operators import LISTS, sign_in
from todo_mcp.users.models import User

pytestmark = pytest.mark.usefixtures("committed")
EDIT = {"title": "Mine", "initial-title": "Milk", "description": "", "initial-description": ""}


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def task(alice: User) -> Task:
    task: Task = TaskFactory.create(user=alice, title="Milk", description="")
    return task


def meanwhile(monkeypatch: pytest.MonkeyPatch, service: str, **arguments: Any) -> None:
    """Let somebody else call this service, on a connection of its own, just before the first save."""
    save, other, left = services.update_task, getattr(services, service), [True]

    def call() -> None:
        other(user_id="alice", **arguments)
        connection.close()

    def change_then_save(**given: Any) -> Any:
        if left and left.pop():
            with ThreadPoolExecutor(1) as thread:
                thread.submit(call).result()
        return save(**given)

    monkeypatch.setattr(services, "update_task", change_then_save)


def test_the_title_that_somebody_else_saved_first_stays(
    client: Client, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, "update_task", task_id=task.pk, title="Theirs")
    refused = client.post(f"{LISTS['tasks']}{task.pk}/change/", EDIT)
    assert list(refused.context["adminform"].form.errors) == ["title"]
    assert "It is now: <bdi>Theirs</bdi>" in refused.content.decode()
    assert Task.objects.get().title == "Theirs"


def test_a_change_of_another_field_is_kept_and_the_form_is_saved(
    client: Client, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, "update_task", task_id=task.pk, description="Theirs")
    assert client.post(f"{LISTS['tasks']}{task.pk}/change/", EDIT).status_code == 302
    assert Task.objects.values_list("title", "description").get() == ("Mine", "Theirs")


def test_the_text_comes_back_if_the_task_is_deleted_meanwhile(
    client: Client, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, "delete_task", task_id=task.pk)
    refused = client.post(f"{LISTS['tasks']}{task.pk}/change/", EDIT)
    assert refused.status_code == 403 and refused.context["typed"] == [("Title", "Mine")]
