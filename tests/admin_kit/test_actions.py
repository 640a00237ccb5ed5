"""Admin actions call the services, ask before they destroy data, and record the operator's id in the history."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError
from django.test import Client
from oauth2_provider.models import AccessToken

from conversations.models import Conversation
from tasks import services
from tasks.models import Task, TaskEvent
from tests.support.factories import MessageFactory, TaskFactory, UserFactory
from tests.support.operators import LISTS, act, question, sign_in, staff_with
from todo_mcp.admin_kit import actions
from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def latest_event(task: Task) -> dict[str, Any]:
    return TaskEvent.objects.filter(pgh_obj=task).order_by("-pgh_id").values().first() or {}


def rows() -> dict[str, tuple[Any, str]]:
    """For each list: the key of one of Alice's rows, and an action that destroys that row."""
    token = issue_token(user_id="alice")
    return {
        "tasks": (TaskFactory.create(user_id="alice").pk, "delete_task"),
        "conversations": (MessageFactory.create(conversation__user_id="alice").conversation_id, "delete_conversation"),
        "tokens": (getattr(find_token(token), "pk", 0), "revoke_token"),
        "users": ("alice", "delete_user"),
    }


def row_counts() -> tuple[int, ...]:
    undeleted = Task.objects.filter(deleted_at=None)
    return undeleted.count(), Conversation.objects.count(), AccessToken.objects.count(), User.objects.count()


def test_a_get_never_triggers_an_action(client: Client, alice: User) -> None:
    targets = rows()
    before = row_counts()
    for name, (key, action) in targets.items():
        client.get(LISTS[name], {"action": action, "_selected_action": key, "index": "0", "confirmed": "yes"})
        assert client.get(question(name, action, key, typed=str(key))).status_code == 200
        assert client.get(f"{LISTS[name]}{key}/delete/").status_code == 403
    assert row_counts() == before


def test_djangos_own_delete_page_refuses_a_post(client: Client, alice: User) -> None:
    for name, (key, _) in rows().items():
        assert client.post(f"{LISTS[name]}{key}/delete/", {"post": "yes"}).status_code == 403


def test_a_destructive_action_asks_for_confirmation_before_it_runs(client: Client, alice: User) -> None:
    for name, (key, action) in rows().items():
        before = row_counts()
        asked = act(client, name, action, key)
        assert asked.status_code == 302 and "/confirm/?" in asked.headers["Location"], name
        assert client.get(asked.headers["Location"]).context["question"], name
        assert row_counts() == before, name
        assert act(client, name, action, key, confirmed=True, typed="alice").status_code == 302
        assert row_counts() < before, name


def test_an_action_that_the_database_interrupts_reports_and_logs_what_was_done(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [TaskFactory.create(user=alice).pk for _ in range(3)]
    complete = services.complete_task
    done: list[Any] = []

    def interrupted(**task: Any) -> Any:
        if len(done) == 1:
            raise OperationalError("canceling statement due to lock timeout")
        done.append(task)
        return complete(**task)

    monkeypatch.setattr(services, "complete_task", interrupted)
    act(client, "tasks", "complete_task", *keys)
    text = client.get(LISTS["tasks"]).content.decode()
    assert "Completed 1 task." in text and "2 not changed: they are not reached, because the database is busy" in text
    assert LogEntry.objects.count() == 1 and Task.objects.filter(completed=True).count() == 1


def test_an_action_needs_the_csrf_token(operator: User, alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator, backend="django.contrib.auth.backends.ModelBackend")
    assert act(client, "tasks", "delete_task", TaskFactory.create(user=alice).pk, confirmed=True).status_code == 403


def test_a_tasks_history_names_the_operator_and_the_action(client: Client, alice: User) -> None:
    task = TaskFactory.create(user=alice)
    for action, state in [("complete_task", "completed"), ("delete_task", "deleted_at"), ("restore_task", "completed")]:
        act(client, "tasks", action, task.pk, confirmed=True)
        event = latest_event(task)
        assert event[state]
        assert event["pgh_context"].items() >= {"user": "operator", "client": "admin", "tool": action}.items()
    page = client.get(f"{LISTS['tasks']}{task.pk}/change/").content.decode()
    assert re.findall("<strong>(.*?)</strong>", page) == ["Restored", "Deleted", "Completed", "Added"]


def test_an_action_on_many_tasks_skips_those_it_does_not_apply_to(client: Client, alice: User) -> None:
    tasks = [TaskFactory.create(user=alice) for _ in range(3)]
    services.complete_task(user_id="alice", task_id=tasks[0].pk)
    page = act(client, "tasks", "complete_task", *[task.pk for task in tasks])
    messages = [str(message) for message in client.get(page.headers["Location"]).context["messages"]]
    assert messages == ["Completed 2 tasks.", "1 not changed: it is deleted or already completed."]


def test_an_action_refuses_more_rows_than_the_limit(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "ACTION_MAX", 2)
    tasks = [TaskFactory.create(user=alice) for _ in range(3)]
    act(client, "tasks", "complete_task", tasks[0].pk, select_across="1")
    assert not Task.objects.filter(completed=True).exists()


def test_a_question_about_too_many_long_ids_is_refused_with_a_reason(client: Client) -> None:
    ids = [UserFactory.create(id=f"{number}{'ü' * 200}").pk for number in range(8)]
    answer = client.get(act(client, "users", "deactivate_user", *ids).headers["Location"])
    assert [str(message) for message in answer.context["messages"]] == ["Nothing was done. Select fewer at a time."]
    assert not User.objects.filter(is_active=False).exists()


def test_a_question_names_what_it_leaves_out_and_ignores_what_is_no_key(client: Client, alice: User) -> None:
    tasks = [TaskFactory.create(user=alice) for _ in range(2)]
    services.delete_task(user_id="alice", task_id=tasks[0].pk)
    page = client.get(question("tasks", "delete_task", *[task.pk for task in tasks], "x", "\0", "9" * 30, 10**17))
    assert page.context["left"] == [
        "1 will not be changed: it is already deleted.",
        "1 will not be changed: it is no longer there.",
    ]
    assert client.get(question("users", "deactivate_user", "\0", "nobody")).status_code == 302


def test_a_row_that_left_the_list_meanwhile_is_reported(client: Client, alice: User) -> None:
    tasks = [TaskFactory.create(user=alice) for _ in range(2)]
    services.delete_task(user_id="alice", task_id=tasks[0].pk)
    url, data = f"{LISTS['tasks']}?status=pending", {"index": "0", "_selected_action": [task.pk for task in tasks]}
    for action, said in (("delete_task", []), ("complete_task", ["Completed 1 task."])):
        page = client.get(client.post(url, data | {"action": action}).headers["Location"])
        assert [str(m) for m in page.context["messages"]] == [*said, "1 not changed: it is no longer in this list."]


def test_a_question_shows_rows_only_to_who_may_see_them(alice: User) -> None:
    task = TaskFactory.create(user=alice, title="Secret")
    assert staff_with("delete_task").get(question("tasks", "delete_task", task.pk)).status_code == 403


def test_an_unknown_action_is_refused(client: Client) -> None:
    assert client.get(question("tasks", "purge_task", 1)).status_code == 403
    assert client.get(f"{LISTS['tasks']}confirm/").status_code == 403


def test_an_erased_users_question_leads_to_the_list(client: Client, alice: User) -> None:
    page = f"{LISTS['users']}alice/change/"
    asked = act(client, "users", "delete_user", "alice", from_row="yes").headers["Location"]
    assert client.get(asked).context["back"] == page
    client.post(asked, {"typed": "alice"})
    assert client.get(asked).headers["Location"] == LISTS["users"]


def test_an_action_on_a_tasks_page_returns_to_that_page(client: Client, alice: User) -> None:
    task = TaskFactory.create(user=alice)
    page = client.get(f"{LISTS['tasks']}{task.pk}/change/").content.decode()
    assert re.findall('name="action" value="(.*?)"', page) == ["complete_task", "delete_task"]
    assert act(client, "tasks", "complete_task", task.pk, from_row="yes").headers["Location"].endswith("/change/")


def test_an_edit_saves_only_the_fields_that_the_operator_changed(client: Client, alice: User) -> None:
    task = TaskFactory.create(user=alice, title="Milk", description="Two litres")
    Task.objects.filter(pk=task.pk).update(title="Oat milk")  # a client edits while the form is open
    form = {
        "title": "Milk",
        "initial-title": "Milk",
        "description": "Three\r\nlitres",
        "initial-description": "Two litres",
    }
    assert client.post(f"{LISTS['tasks']}{task.pk}/change/", form).status_code == 302
    event = latest_event(task)
    assert (event["title"], event["description"]) == ("Oat milk", "Three\nlitres")
    assert event["pgh_context"]["tool"] == "edit" and event["pgh_context"]["user"] == "operator"


@pytest.mark.parametrize("title", ["Milk", "Oat milk"])
def test_an_operator_can_empty_a_description(client: Client, alice: User, title: str) -> None:
    task = TaskFactory.create(user=alice, title="Milk", description="Two litres")
    form = {"title": title, "initial-title": "Milk", "description": "", "initial-description": "Two litres"}
    assert client.post(f"/admin/tasks/task/{task.pk}/change/", form).status_code == 302
    task.refresh_from_db()
    assert (task.title, task.description) == (title, "")


@pytest.mark.parametrize("title", ["", "\u200b", "a" * 201, "bell \x07"])
def test_an_edit_obeys_the_validation_rules_of_the_tool(client: Client, alice: User, title: str) -> None:
    task = TaskFactory.create(user=alice, title="Milk")
    form = {"title": title, "initial-title": "Milk", "description": "", "initial-description": ""}
    assert client.post(f"{LISTS['tasks']}{task.pk}/change/", form).status_code == 200
    assert Task.objects.get().title == "Milk"


def test_an_error_message_appears_if_the_task_is_deleted_meanwhile(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, original = TaskFactory.create(user=alice, title="Milk"), services.complete_task

    def delete_then_call(**arguments: Any) -> Any:
        services.delete_task(user_id="alice", task_id=task.pk)
        return original(**arguments)

    monkeypatch.setattr(services, "complete_task", delete_then_call)
    messages = client.get(act(client, "tasks", "complete_task", task.pk).headers["Location"]).context["messages"]
    assert f"Task {task.pk} not found. Call list_tasks to see valid ids." in [str(message) for message in messages]


def test_a_deleted_task_is_read_only_until_it_is_restored(client: Client, alice: User) -> None:
    task = TaskFactory.create(user=alice)
    services.delete_task(user_id="alice", task_id=task.pk)
    url = f"{LISTS['tasks']}{task.pk}/change/"
    assert client.post(url, {"title": "New", "initial-title": task.title}).status_code == 403
    assert re.findall('name="action" value="(.*?)"', client.get(url).content.decode()) == ["restore_task"]


def test_operators_cannot_add_or_edit_conversations(client: Client) -> None:
    message = MessageFactory.create()
    assert client.get(f"{LISTS['conversations']}add/").status_code == 403
    assert client.post(f"{LISTS['conversations']}{message.conversation_id}/change/", {"user": "x"}).status_code == 403


def test_djangos_log_names_operator_and_action_but_not_the_text_of_a_task(client: Client, alice: User) -> None:
    task = TaskFactory.create(user=alice, title="Secret")
    act(client, "tasks", "complete_task", task.pk)
    form = {"title": "Hidden", "initial-title": "Secret", "description": "", "initial-description": ""}
    messages = client.post(f"{LISTS['tasks']}{task.pk}/change/", form, follow=True).context["messages"]
    assert not any("Hidden" in str(message) for message in messages)
    entries = LogEntry.objects.values_list("user_id", "object_repr", "change_message")
    assert set(entries) == {
        ("operator", f"task {task.pk}", "Completed"),
        ("operator", f"task {task.pk}", '[{"changed": {"fields": ["Title"]}}]'),
    }
    assert "Completed" in (home := client.get("/admin/").content.decode()) and "Hidden" not in home
