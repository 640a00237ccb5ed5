"""The operators' log: what all operators did, to whom, and when. An entry about a user goes with the user."""

import json
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client
from oauth2_provider.models import AccessToken
from pytest_django import DjangoAssertNumQueries

from tasks.models import Task, TaskEvent
from tests.support.factories import MessageFactory, TaskFactory, UserFactory
from tests.support.operators import ACTIVITY, LISTS, act, sign_in, staff_with
from todo_mcp.auth.tokens import issue_token
from todo_mcp.operators.user_data import delete_user
from todo_mcp.users.models import LogSubject, User

pytestmark = pytest.mark.django_db
LOG = "/admin/admin/logentry/"


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def log() -> list[tuple[str, str, str]]:
    """What was done, on what, and to whom, oldest first."""
    rows = LogEntry.objects.order_by("pk").values_list("change_message", "object_repr", "subject__user_id")
    return list(rows)


def listed(client: Client, **filters: str) -> list[str]:
    """The words of each row of the list: operator, what was done, the object and the user."""
    page = client.get(LOG, filters).content.decode()
    cells = re.findall(r'<t[dh] class="field-(?:operator|what|whom)[^>]*>(.*?)</t[dh]>', page, re.DOTALL)
    words = [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in cells]
    return [" ".join(words[n : n + 3]) for n in range(0, len(words), 3)]


def test_revoking_issuing_exporting_editing_and_taking_back_name_the_user(client: Client, alice: User) -> None:
    task = TaskFactory.create(user=alice, title="Secret")
    client.post(f"{LISTS['tokens']}add/", {"user_id": "alice", "name": "phone", "scopes": "tasks:read", "days": "30"})
    act(client, "tokens", "revoke_token", AccessToken.objects.get().pk, confirmed=True)
    client.post(f"{LISTS['users']}alice/export/")
    form = {"title": "Hidden", "initial-title": "Secret", "description": "", "initial-description": ""}
    client.post(f"{LISTS['tasks']}{task.pk}/change/", form)
    event = TaskEvent.objects.latest("pgh_id").pk
    client.post(f"{ACTIVITY}undo/?call={event}")
    first = TaskEvent.objects.earliest("pgh_id").pk
    act(client, "tasks", "complete_task", task.pk)
    seen = Task.objects.get().version
    client.post(f"{LISTS['tasks']}{task.pk}/revert/?version={first}", {"seen": seen})
    act(client, "users", "deactivate_user", "alice", confirmed=True)
    assert {subject for _, _, subject in log()} == {"alice"}
    assert [words.split()[1] for words in listed(client)] == [
        "Deactivated", "Reverted", "Completed", "Undone", "Changed", "Exported", "Revoked", "Issued"
    ]  # fmt: skip
    assert not re.search("Secret|Hidden", client.get(LOG).content.decode())


def test_the_log_filters_by_operator_user_action_and_day(client: Client, alice: User, bob: User) -> None:
    for user in (alice, bob):
        act(client, "tasks", "complete_task", TaskFactory.create(user=user).pk)
    act(staff_with("change_user", "view_user"), "users", "deactivate_user", "bob", confirmed=True)
    assert len(listed(client)) == 3
    assert [words.split()[0] for words in listed(client, operator="dave")] == ["dave"]
    assert [words.split()[-1] for words in listed(client, user="alice")] == ["alice"]
    assert len(listed(client, did="completed")) == 2
    assert listed(client, action_time_to="2020-01-01") == []
    assert len(listed(client, q="bob")) == 2


def test_an_object_has_a_link_only_while_it_exists(client: Client, alice: User) -> None:
    conversation = MessageFactory.create(conversation__user=alice).conversation_id
    url = f"{LISTS['conversations']}{conversation}/change/"
    act(client, "users", "deactivate_user", "alice", confirmed=True)
    assert f"{LISTS['users']}alice/change/" in client.get(LOG).content.decode()
    act(client, "conversations", "delete_conversation", conversation, confirmed=True)
    assert "Deleted conversation" in str(listed(client)) and url not in client.get(LOG).content.decode()


def test_an_erasure_leaves_a_receipt_and_nothing_else_about_the_user(client: Client, alice: User) -> None:
    act(client, "tasks", "complete_task", TaskFactory.create(user=alice).pk)
    issue_token(user_id="alice", name="phone")
    question = client.get(f"{LISTS['users']}confirm/?action=delete_user&row=alice")
    shown = question.context["counts"]
    assert shown.items() >= {"tasks": 1, "versions of tasks": 2, "tokens": 1, "messages": 0}.items()
    receipt = act(client, "users", "delete_user", "alice", confirmed=True, typed="alice").headers["Location"]
    [entry] = LogEntry.objects.all()
    assert receipt == f"{LOG}{entry.pk}/change/" and json.loads(entry.change_message) == {"Erased": shown}
    assert (entry.object_repr, entry.subject.user_id, entry.user_id) == ("user alice", "alice", "operator")
    page = client.get(receipt).content.decode()
    assert "Receipt" in page and "Versions of tasks" in page and "<bdi>alice</bdi>" in page
    assert listed(client) == ["operator Erased user alice alice"]


def test_an_erasure_removes_the_entries_about_the_user_and_keeps_those_about_others(
    client: Client, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        act(client, "tasks", "complete_task", TaskFactory.create(user=user).pk)
    delete_user(user_id="alice")
    assert [subject for _, _, subject in log()] == ["bob"] and LogSubject.objects.count() == 1


def test_a_users_page_shows_what_operators_did_with_a_link_to_all(client: Client, alice: User) -> None:
    task = TaskFactory.create(user=alice)
    for _ in range(4):
        act(client, "tasks", "complete_task", task.pk)
        act(client, "tasks", "reopen_task", task.pk)
    page = client.get(f"{LISTS['users']}alice/change/").content.decode()
    assert page.count("<bdi>operator</bdi>:") == 5 and f'{LOG}?user=alice"' in page


@pytest.mark.parametrize(
    ("groups", "status"), [(["Read-only operators"], 200), (["Operators"], 200), ([], 403)], ids=str
)
def test_both_groups_of_operators_may_read_the_log_and_other_staff_may_not(groups: list[str], status: int) -> None:
    dave = UserFactory.create(id="dave", is_staff=True)
    dave.groups.set(Group.objects.filter(name__in=groups))
    client = sign_in(dave)
    assert client.get(LOG).status_code == status
    assert (LOG in client.get("/admin/").content.decode()) == (status == 200)
    assert Client().get(LOG).status_code == 302


def test_nobody_can_change_the_log_but_operators_can_read_their_own_entries(client: Client, alice: User) -> None:
    dave = staff_with("change_user", "view_user")
    act(dave, "users", "deactivate_user", "alice", confirmed=True)
    url = f"{LOG}{LogEntry.objects.get().pk}/"
    assert dave.get(f"{url}change/").status_code == 200
    for path in (f"{url}change/", f"{url}delete/", f"{LOG}add/"):
        assert client.post(path, {"post": "yes"}).status_code == 403


def test_the_log_makes_few_queries_whatever_it_lists(
    client: Client, alice: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        act(client, "tasks", "complete_task", TaskFactory.create(user=alice).pk)
    act(client, "tokens", "revoke_token", 1, confirmed=True)
    act(client, "users", "deactivate_user", "alice", confirmed=True)
    client.get(LOG)
    with django_assert_max_num_queries(7):
        client.get(LOG)


def test_going_back_to_a_question_that_was_answered_is_an_ordinary_page(client: Client, alice: User) -> None:
    task: Any = TaskFactory.create(user=alice)
    asked = act(client, "tasks", "delete_task", task.pk).headers["Location"]
    assert client.post(asked).status_code == 302
    again = client.get(asked)
    assert again.status_code == 302
    assert (
        "1 not changed: it is already deleted."
        in [str(m) for m in client.get(again.headers["Location"]).context["messages"]][-1]
    )
