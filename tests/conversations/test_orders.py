"""Lists of conversations and of messages in both orders, and after a message."""

from typing import Any

import pytest

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, append, messages_of, refused, send, start
from tests.support.factories import ConversationFactory

pytestmark = pytest.mark.anyio
MESSAGE = {"role": "user", "content": "Hello"}


async def read(caller: Caller, url: str, key: str, **query: Any) -> list[list[Any]]:
    """The ids on each page of two, following the cursors."""
    found, cursor = [], None
    while True:
        sent = {**query, "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await send(caller, "GET", url, params=sent)).json()
        found.append([row["id"] for row in page[key]])
        cursor = page["next_cursor"]
        assert page["has_more"] is (cursor is not None)
        if cursor is None:
            return found


def flat(found: list[list[Any]]) -> list[Any]:
    assert all(len(page) == 2 for page in found[:-1])
    return [id for page in found for id in page]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
async def test_messages_are_read_backwards_page_by_page(as_alice: Caller, count: int) -> None:
    url = messages_of(conversation := await start(as_alice))
    ids = [one["id"] for one in await append(as_alice, conversation, *map(str, range(count)))] if count else []
    assert flat(await read(as_alice, url, "messages", order="desc")) == ids[::-1]
    assert flat(await read(as_alice, url, "messages", order="asc")) == ids
    assert flat(await read(as_alice, url, "messages")) == ids


async def test_messages_after_one_are_what_follows_in_the_order(as_alice: Caller) -> None:
    url = messages_of(conversation := await start(as_alice))
    ids = [one["id"] for one in await append(as_alice, conversation, *"abcde")]
    await send(as_alice, "PUT", f"{url}/last", json=MESSAGE)
    ids.append((await send(as_alice, "GET", f"{url}/last")).json()["id"])
    for n, id in enumerate(ids):
        assert flat(await read(as_alice, url, "messages", after=id)) == ids[n + 1 :]
        assert flat(await read(as_alice, url, "messages", after=id, order="desc")) == ids[:n][::-1]
    assert flat(await read(as_alice, url, "messages", after="last", order="desc")) == ids[:-1][::-1]
    page = (await send(as_alice, "GET", f"{url}?after=last")).json()
    assert page == {"messages": [], "has_more": False, "next_cursor": None}
    [new] = await append(as_alice, conversation, "new")
    assert (await send(as_alice, "GET", f"{url}?after=last")).json()["messages"] == [new]
    assert flat(await read(as_alice, url, "messages", after=0)) == [*ids, new["id"]]  # left out


async def test_conversations_are_listed_from_the_oldest_activity(as_alice: Caller, orm: Orm) -> None:
    ids = [one.pk for one in await orm(lambda: ConversationFactory.create_batch(5, user_id="alice"))]
    await orm(lambda: ConversationFactory.create(user__id="bob"))
    newest = flat(await read(as_alice, START, "conversations"))
    assert sorted(newest) == ids
    assert flat(await read(as_alice, START, "conversations", order="asc")) == newest[::-1]
    assert flat(await read(as_alice, START, "conversations", order="desc")) == newest
    await append(as_alice, newest[2], "moves it")
    moved = [newest[2], *(id for id in newest if id != newest[2])]
    assert flat(await read(as_alice, START, "conversations", order="asc")) == moved[::-1]


async def test_a_cursor_of_the_other_order_is_refused(as_alice: Caller) -> None:
    for _ in range(3):
        conversation = await start(as_alice)
    await append(as_alice, conversation, *"abc")
    for url in (START, messages_of(conversation)):
        for order, other in (("asc", "desc"), ("desc", "asc")):
            cursor = (await send(as_alice, "GET", f"{url}?limit=1&order={order}")).json()["next_cursor"]
            answer = await send(as_alice, "GET", f"{url}?order={other}&cursor={cursor}")
            refused(answer, 400, "invalid_arguments", cursor="other order")
            assert (await send(as_alice, "GET", f"{url}?order={order}&cursor={cursor}")).status_code == 200


async def test_last_stands_alone(as_alice: Caller) -> None:
    url = messages_of(conversation := await start(as_alice))
    [one, _] = await append(as_alice, conversation, "a", "b")
    cursor = (await send(as_alice, "GET", f"{url}?limit=1")).json()["next_cursor"]
    for other in ("order=asc", "order=desc", f"after={one['id']}", f"cursor={cursor}", "limit=5"):
        answer = await send(as_alice, "GET", f"{url}?last=1&{other}")
        refused(answer, 400, "invalid_arguments", last="is not possible with")


@pytest.mark.parametrize("order", ["up", "ASC", "1", "asc,desc"])
async def test_an_unknown_order_is_refused_by_name(as_alice: Caller, order: str) -> None:
    for url in (START, messages_of(await start(as_alice))):
        answer = await send(as_alice, "GET", f"{url}?order={order}")
        refused(answer, 400, "invalid_arguments", order="'asc' or 'desc'")
