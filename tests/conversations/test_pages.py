"""Pages of conversations and of messages, and the last messages for a model's context window."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations import services
from conversations.models import Conversation, Message
from conversations.schemas import MessageIn
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, append, messages_of, refused, send, start
from tests.support.factories import ConversationFactory, MessageFactory
from todo_mcp.core.errors import ConversationNotFound
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio


async def pages(caller: Caller, url: str, key: str, limit: int) -> list[list[Any]]:
    """The ids on each page, following the cursors."""
    page_ids, cursor = [], ""
    while cursor is not None:
        response = await send(caller, "GET", f"{url}?limit={limit}{cursor and f'&cursor={cursor}'}")
        page = response.json()
        page_ids.append([row["id"] for row in page[key]])
        cursor = page["next_cursor"]
        assert page["has_more"] is (cursor is not None)
    return page_ids


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8])
async def test_messages_come_in_order_page_by_page(as_alice: Caller, count: int) -> None:
    conversation = await start(as_alice)
    turn = await append(as_alice, conversation, *map(str, range(count))) if count else []
    read = await pages(as_alice, messages_of(conversation), "messages", 3)
    assert [id for page in read for id in page] == [message["id"] for message in turn]
    assert all(len(page) == 3 for page in read[:-1])


async def test_a_message_appended_meanwhile_is_on_the_next_page(as_alice: Caller) -> None:
    conversation = await start(as_alice)
    await append(as_alice, conversation, "a", "b", "c")
    page = (await send(as_alice, "GET", messages_of(conversation) + "?limit=2")).json()
    await append(as_alice, conversation, "d")
    rest = (await send(as_alice, "GET", f"{messages_of(conversation)}?cursor={page['next_cursor']}")).json()
    assert [message["content"] for message in rest["messages"]] == ["c", "d"]
    assert rest["has_more"] is False


@pytest.mark.parametrize(
    ("last", "contents", "more"), [(1, "4", True), (4, "1234", True), (5, "01234", False), (9, "01234", False)]
)
async def test_the_last_messages_come_in_order_and_say_whether_there_are_earlier_ones(
    as_alice: Caller, last: int, contents: str, more: bool
) -> None:
    conversation = await start(as_alice)
    await append(as_alice, conversation, *"01234")
    answer = (await send(as_alice, "GET", f"{messages_of(conversation)}?last={last}")).json()
    assert [message["content"] for message in answer["messages"]] == [*contents]
    assert (answer["has_more"], answer["next_cursor"]) == (more, None)


async def test_an_empty_conversation_has_no_messages(as_alice: Caller) -> None:
    conversation = await start(as_alice)
    for query in ("", "?last=20"):
        answer = await send(as_alice, "GET", messages_of(conversation) + query)
        assert answer.json() == {"messages": [], "has_more": False, "next_cursor": None}


async def test_a_page_holds_fifty_by_default_and_a_hundred_at_most(as_alice: Caller, orm: Orm) -> None:
    def fill() -> int:
        conversation = ConversationFactory.create(user_id="alice")
        MessageFactory.create_batch(120, conversation=conversation)
        ConversationFactory.create_batch(119, user_id="alice")
        return int(conversation.pk)

    conversation = await orm(fill)
    for url, key in ((messages_of(conversation), "messages"), (START, "conversations")):
        assert len((await send(as_alice, "GET", url)).json()[key]) == 50
        assert [len(page) for page in await pages(as_alice, url, key, 100)] == [100, 20]


async def test_conversations_with_the_same_time_are_each_listed_once(as_alice: Caller, orm: Orm) -> None:
    await orm(lambda: ConversationFactory.create_batch(7, user_id="alice"))
    await orm(lambda: Conversation.objects.update(updated_at=Conversation.objects.earliest("updated_at").updated_at))
    read = [id for page in await pages(as_alice, START, "conversations", 2) for id in page]
    assert read == sorted(read, reverse=True)
    assert len(read) == 7


async def test_a_cursor_gives_no_access_to_another_users_rows(as_alice: Caller, as_bob: Caller) -> None:
    bobs = await start(as_bob)
    await append(as_bob, bobs, "a", "b", "c")
    await start(as_bob)
    message_cursor = (await send(as_bob, "GET", messages_of(bobs) + "?limit=1")).json()["next_cursor"]
    conversation_cursor = (await send(as_bob, "GET", START + "?limit=1")).json()["next_cursor"]
    alices = await start(as_alice)
    for cursor in (message_cursor, conversation_cursor):
        assert (await send(as_alice, "GET", f"{messages_of(alices)}?cursor={cursor}")).json()["messages"] == []
        refused(await send(as_alice, "GET", f"{messages_of(bobs)}?cursor={cursor}"), 404, "conversation_not_found")
        rows = (await send(as_alice, "GET", f"{START}?cursor={cursor}")).json()["conversations"]
        assert {row["user_id"] for row in rows} <= {"alice"}


@pytest.mark.parametrize(
    "cursor", ["MQ", "MS4w", "MS4tMQ", "MS4xLjE", "LjE", "MS4xIA", "MS4x=", "MS4x%00", "x" * 65, "9" * 400]
)
async def test_a_forged_cursor_is_refused_by_name(as_alice: Caller, cursor: str) -> None:
    conversation = await start(as_alice)
    for url in (START, messages_of(conversation)):
        refused(await send(as_alice, "GET", f"{url}?cursor={cursor}"), 400, "invalid_arguments", cursor="next_cursor")


def statements(work: Callable[[], Any]) -> list[str]:
    """The verbs of the statements that the work sends to PostgreSQL."""
    with CaptureQueriesContext(connection) as captured:
        work()
    return [query["sql"].split()[0] for query in captured.captured_queries]


def test_each_operation_sends_as_few_statements_as_it_needs(committed: None, alice: User) -> None:
    conversation_id = services.create_conversation(user_id="alice").id
    target: dict[str, Any] = {"user_id": "alice", "conversation_id": conversation_id}
    turn = {**target, "messages": [MessageIn(role="user", content=f"{n}") for n in range(50)]}
    turn_with_key = {**turn, "idempotency_key": "12345678"}
    # The foreign key checks the user.
    assert statements(lambda: services.create_conversation(user_id="alice")) == ["INSERT"]
    # UPDATE locks and checks the conversation and sets its time; INSERT adds the messages.
    append = ["BEGIN", "UPDATE", "INSERT", "COMMIT"]
    assert statements(lambda: services.append_messages(**turn)) == append
    assert statements(lambda: services.append_messages(**turn_with_key)) == ["SELECT", *append[:-1], "INSERT", "COMMIT"]
    # A retry reads the key and the messages.
    assert statements(lambda: services.append_messages(**turn_with_key)) == ["SELECT", "SELECT"]
    assert statements(lambda: services.list_messages(**target)) == ["SELECT"]
    assert statements(lambda: services.list_messages(**target, last=20)) == ["SELECT"]
    assert statements(lambda: services.list_conversations(user_id="alice")) == ["SELECT"]
    assert statements(lambda: services.get_conversation(**target)) == ["SELECT"]
    # The lock. Then, for the messages and for the conversation: read ids, clear the tasks' links, delete the rows.
    removal = ["SELECT", "UPDATE", "DELETE"]
    deletion = statements(lambda: services.delete_conversation(**target))
    assert deletion == ["BEGIN", "SELECT", *removal, "SELECT", *removal, "COMMIT"]
    assert Message.objects.count() == 0


def test_listing_the_messages_of_a_missing_conversation_takes_two_statements(committed: None, alice: User) -> None:
    def read() -> None:
        with pytest.raises(ConversationNotFound):
            services.list_messages(user_id="alice", conversation_id=7)

    assert statements(read) == ["SELECT", "SELECT"]


async def test_a_page_stops_before_4_mib_and_nothing_is_skipped(as_alice: Caller) -> None:
    conversation = await start(as_alice)
    big = "\U0001f600" * 100_000  # 400 kB in UTF-8
    message_ids = [message["id"] for _ in range(5) for message in await append(as_alice, conversation, *[big] * 5)]
    url = messages_of(conversation)
    read = await pages(as_alice, url, "messages", 100)
    assert [id for page in read for id in page] == message_ids
    assert [len(page) for page in read] == [10, 10, 5]
    last = (await send(as_alice, "GET", f"{url}?last=20")).json()
    assert [message["id"] for message in last["messages"]] == message_ids[-10:]
    assert last["has_more"] is True
    assert all(message["content"] == big for message in last["messages"])
