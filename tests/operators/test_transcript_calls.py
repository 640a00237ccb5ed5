"""Calls of tools in a transcript: what was done with the tasks that were created from its messages."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from conversations.models import Conversation, Message
from tasks import history
from tasks.models import Task, TaskEvent
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory
from tests.support.operators import LISTS, sign_in, staff_with
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVICE: dict[str, Any] = {"token_name": "chat", "service": True, "client": "<i>backend</i>", "transport": "http"}


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def chat(bob: User) -> Conversation:
    """Three messages, a minute apart from noon."""
    chat = ConversationFactory.create(user=bob)
    for minute in range(3):
        at = NOON + timedelta(minutes=minute)
        MessageFactory.create(conversation=chat, content=f"Message {minute}.", created_at=at)
    return chat


def add(chat: Conversation, title: str = "Buy milk") -> Task:
    """A task from the first message, added by a service half a minute later."""
    message = Message.objects.filter(conversation=chat).earliest("pk")
    with history_context(user="bob", tool="add_task", **SERVICE):
        task = TaskFactory.create(user=chat.user, title=title, conversation=chat, message=message)
    _at(task, NOON + timedelta(seconds=30))
    return task


def change(task: Task, at: datetime, tool: str = "update_task", **values: Any) -> None:
    with history_context(user="bob", tool=tool, client="claude"):
        Task.objects.filter(pk=task.pk).update(**values)
    _at(task, at)


def _at(task: Task, at: datetime) -> None:
    """Give the task's last version this time. A trigger gave it the time of the test's transaction."""
    latest = TaskEvent.objects.filter(pgh_obj=task).latest("pgh_id")
    TaskEvent.objects.filter(pk=latest.pk).update(pgh_created_at=at)


def entries(client: Client, chat: Conversation, query: str = "") -> list[str]:
    """The messages, calls and days of the transcript, in their order, as plain text."""
    page = (
        client.get(f"{LISTS['conversations']}{chat.pk}/change/{query}").content.decode().partition("messages-title")[2]
    )
    parts = re.findall(
        r"<h3>(.*?)</h3>|<li (?:id=\"message|class=\"todo-call\")(.*?)</header>(.*?)</li>", page, re.DOTALL
    )
    return [" ".join(re.sub("<[^>]*>", " ", " ".join(part)).partition(">")[2].split()) or part[0] for part in parts]


def test_a_call_stands_between_the_messages_by_its_time_with_tool_author_and_change(
    client: Client, chat: Conversation
) -> None:
    task = add(chat)
    change(task, NOON + timedelta(seconds=90), title="Buy oat milk")
    change(task, NOON + timedelta(days=2), "complete_task", completed=True, completed_at=NOON)
    texts = entries(client, chat)
    assert [text for text in texts if "Message" in text or "March" in text or "_task" in text] == texts
    order = ["1 March", "Message 0", "add_task", "Message 1", "update_task", "Message 2", "3 March", "complete_task"]
    assert len(texts) == len(order) and all(word in text for word, text in zip(order, texts, strict=True))
    assert "service chat , for bob , via &lt;i&gt;backend&lt;/i&gt;" in texts[2] and "Added" in texts[2]
    assert "by bob , via claude" in texts[4] and "Title Buy milk → Buy oat milk" in texts[4]
    page = client.get(f"{LISTS['conversations']}{chat.pk}/change/").content.decode()
    assert page.count(f'<p><a href="{LISTS["tasks"]}{task.pk}/change/"><bdi>Buy oat milk</bdi></a></p>') == 3


def test_a_page_shows_only_the_calls_for_tasks_of_its_own_messages(client: Client, chat: Conversation) -> None:
    add(chat)
    first, *_, last = Message.objects.filter(conversation=chat).order_by("pk").values_list("pk", flat=True)
    assert any("add_task" in text for text in entries(client, chat, f"?only={first}"))
    assert not any("add_task" in text for text in entries(client, chat, f"?only={last}"))


def test_calls_are_bounded_and_the_page_says_so(
    client: Client, chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = "Not all calls are shown."
    task = add(chat)
    for minute in range(3):
        change(task, NOON + timedelta(minutes=minute), title=f"Title {minute}")
    url = f"{LISTS['conversations']}{chat.pk}/change/"
    assert note not in client.get(url).content.decode()
    monkeypatch.setattr(history, "VERSIONS_OF_ONE", 3)
    page = client.get(url).content.decode()
    assert note in page and page.count("todo-call") == 3 and "Title 1" in page
    monkeypatch.setattr(history, "CALLS_MAX", 1)
    assert client.get(url).content.decode().count("todo-call") == 1


def test_an_operator_who_may_not_see_tasks_sees_no_calls(chat: Conversation) -> None:
    add(chat, "Secret")
    page = staff_with("view_conversation").get(f"{LISTS['conversations']}{chat.pk}/change/").content.decode()
    assert "Secret" not in page and "add_task" not in page and "Message 0." in page
