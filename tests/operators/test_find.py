"""One box finds a user, a task, a conversation, a request, a token or words, of what the operator may view."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks.models import Task
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory
from tests.support.operators import sign_in, staff_with
from todo_mcp.admin_kit.typed_text import looks_secret
from todo_mcp.auth.tokens import find_token, issue_token, new_token
from todo_mcp.core.request_ids import new_request_id
from todo_mcp.postgres.history import history_context
from todo_mcp.statistics.models import RefusedCall
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db
FIND = "/admin/find/"
OURS = "01a21f5c7abf79ecad85e4ee9d8faa1c"  # an id of this server


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def found(client: Client, text: str, **more: str) -> dict[str, list[str]]:
    """The addresses of the results, by the title of their section."""
    answer = client.get(FIND, {"q": text, **more})
    assert answer.status_code == 200
    return {section.title: [result.url for result in section.results] for section in answer.context["sections"]}


@pytest.mark.parametrize("text", ["alice", "ali", "Alice Liddell", "liddell", "ALICE@example.com"])
def test_a_user_is_found_by_id_name_and_e_mail(client: Client, alice: User, bob: User, text: str) -> None:
    User.objects.filter(pk="alice").update(name="Alice Liddell", email="alice@example.com")
    assert found(client, text)["Users"] == ["/admin/users/user/alice/change/"]


def test_the_user_with_exactly_this_id_comes_first(client: Client, bob: User) -> None:
    for n in range(12):
        User.objects.create(pk=f"a{n}", name="bob")
    users = found(client, "bob")["Users"]
    assert users[0] == "/admin/users/user/bob/change/" and len(users) == 10
    assert 'href="/admin/users/user/?q=bob"' in client.get(FIND, {"q": "bob"}).content.decode()


def test_a_number_finds_the_task_and_the_conversation(client: Client, alice: User) -> None:
    task, chat = TaskFactory.create(user=alice), MessageFactory.create(conversation__user_id="alice").conversation
    assert found(client, str(task.pk))["Task by number"] == [f"/admin/tasks/task/{task.pk}/change/"]
    assert found(client, str(chat.pk))["Conversation by number"] == [
        f"/admin/conversations/conversation/{chat.pk}/change/"
    ]
    assert found(client, "9" * 30) == {}


@pytest.mark.parametrize("make", [new_request_id, lambda: "my-client-1234"], ids=["ours", "a client's"])
def test_a_requests_id_finds_what_it_changed_and_what_was_refused(
    client: Client, alice: User, make: Callable[[], str]
) -> None:
    request_id = make()
    with history_context(user="alice", tool="add_task", request_id=request_id):
        TaskFactory.create(user=alice)
    RefusedCall.objects.create(
        at=timezone.now(), user=alice, tool="add_task", outcome="invalid_arguments", transport="http", fields=["title"],
        request_id=request_id,
    )  # fmt: skip
    sections = found(client, request_id)
    [activity], [refused] = sections["Request"], sections["Refused calls"]
    assert f"request={request_id}" in activity and "Added" in client.get(activity).content.decode()
    assert client.get(refused).status_code == 200 and request_id in client.get(refused).content.decode()


def test_words_find_tasks_and_messages_in_any_state(client: Client, alice: User) -> None:
    task = TaskFactory.create(user=alice, title="Water the plants", description="Use the rhubarb can")
    Task.objects.filter(pk=task.pk).update(deleted_at=timezone.now())
    message = MessageFactory.create(conversation__user_id="alice", content="The rhubarb is ripe")
    sections = found(client, "rhubarb")
    assert sections["Tasks"] == [f"/admin/tasks/task/{task.pk}/change/"]
    [url] = sections["Messages"]
    assert f"/conversation/{message.conversation_id}/change/" in url and f"at={message.pk}" in url


def test_words_find_the_titles_of_conversations(client: Client, alice: User) -> None:
    chats = [ConversationFactory.create(user=alice, title=f"Rhubarb <{n}>") for n in range(11)]
    sections = found(client, "rhubarb")
    assert sections["Conversations by title"] == [
        f"/admin/conversations/conversation/{chat.pk}/change/" for chat in chats[:0:-1]
    ]
    page = client.get(FIND, {"q": "rhubarb"}).content.decode()
    assert "<mark>Rhubarb</mark> &lt;10&gt;</bdi>" in page and f"conversation {chats[10].pk}, of" in page
    assert 'href="/admin/conversations/conversation/?q=rhubarb"' in page


def test_a_conversation_that_is_found_by_number_shows_its_title(client: Client, alice: User) -> None:
    chat = ConversationFactory.create(user=alice, title="<b>Rhubarb</b>")
    assert "<bdi>&lt;b&gt;Rhubarb&lt;/b&gt;</bdi>" in client.get(FIND, {"q": str(chat.pk)}).content.decode()


def test_more_tasks_than_are_shown_are_announced(client: Client, alice: User) -> None:
    for n in range(11):
        TaskFactory.create(user=alice, title=f"Rhubarb {n}")
    assert len(found(client, "rhubarb")["Tasks"]) == 10
    assert "There are more. Add words" in client.get(FIND, {"q": "rhubarb"}).content.decode()


def test_a_text_like_a_requests_id_is_searched_for_as_words_on_demand(client: Client, alice: User) -> None:
    TaskFactory.create(user=alice, title="Pay invoice-2026-11")
    assert found(client, "invoice-2026-11") == {}
    page = client.get(FIND, {"q": "invoice-2026-11"}).content.decode()
    [url] = re.findall(r'href="(/admin/find/\?[^"]*words=yes)"', page)
    assert "Pay invoice-2026-11" in client.get(url.replace("&amp;", "&")).content.decode()


@pytest.mark.parametrize("around", ["{}", "Bearer {}", ' "{}" ', "Authorization: Bearer {}"])
def test_a_tokens_value_leads_to_its_page_and_is_in_no_address_and_no_log(
    client: Client, alice: User, caplog: pytest.LogCaptureFixture, around: str
) -> None:
    caplog.set_level(logging.DEBUG)
    value = issue_token(user_id="alice")
    answer = client.post(FIND, {"q": around.format(value)})
    token = find_token(value)
    assert token and answer.headers["Location"] == f"/admin/oauth2_provider/accesstoken/{token.pk}/change/"
    assert value not in caplog.text


def test_an_unknown_token_is_neither_in_an_address_nor_on_the_page(client: Client) -> None:
    for value in (new_token(), f"Bearer {new_token()}", new_token().removeprefix("todo_") + "aB1"):
        answer = client.post(FIND, {"q": value})
        assert answer.headers["Location"] == FIND
        page = client.get(FIND).content.decode()
        assert "No token has this value" in page and value not in page


def test_a_long_text_is_looked_at_in_a_moment() -> None:
    started = time.perf_counter()
    for text in ("a" * 8000, "aA1" * 3000, "eyJ" * 3000, "todo_" * 2000):
        looks_secret(text)
    assert time.perf_counter() - started < 1  # it took seconds when the time grew with the square of the length


@pytest.mark.parametrize("text", ["buy milk", "alice@example.com", OURS, "Donaudampfschifffahrt"])
def test_what_is_no_token_goes_on_to_a_page_with_an_address(client: Client, text: str) -> None:
    assert not looks_secret(text)
    answer = client.post(FIND, {"q": text}, follow=True)
    assert answer.redirect_chain[0][0].startswith(f"{FIND}?q=") and answer.status_code == 200


def test_an_operator_finds_only_what_they_may_view(alice: User) -> None:
    task = TaskFactory.create(user=alice, title="Rhubarb")
    MessageFactory.create(conversation__user_id="alice", conversation__title="Rhubarb", content="Rhubarb")
    viewer = staff_with("view_task")
    assert found(viewer, "rhubarb") == {"Tasks": [f"/admin/tasks/task/{task.pk}/change/"]}
    assert found(viewer, "alice") == {}
    value = issue_token(user_id="alice")
    assert viewer.post(FIND, {"q": value}).headers["Location"] == FIND
    assert Client().get(FIND).status_code == 302
    assert value not in Client().post(FIND, {"q": value}).content.decode()


@pytest.mark.parametrize("text", ["", " ", "\0", "%", "'", "a" * 5000, "-milk", '"', "\ud7ff"])
def test_any_text_has_an_answer(client: Client, text: str) -> None:
    assert client.post(FIND, {"q": text}, follow=True).status_code == 200
    assert client.get(FIND, {"q": text}).status_code == 200


@pytest.mark.parametrize("text", ["rhubarb", "12345678", "my-client-1234", OURS])
def test_no_search_takes_more_than_sixteen_queries(
    client: Client, alice: User, django_assert_max_num_queries: Any, text: str
) -> None:
    client.get(FIND, {"q": text})
    with django_assert_max_num_queries(16):  # of these, five find titles
        client.get(FIND, {"q": text})
