"""A ChatKitServer works with the store of docs/examples/chatkit_store.py."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from chatkit.store import NotFoundError
from chatkit_store import TodoStore

from tests.examples.parrot import Parrot, answer, question, texts, thread
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio


@pytest.fixture
def parrot(store: TodoStore) -> Parrot:
    return Parrot(store)


async def test_a_chatkit_server_creates_renames_and_deletes_threads(parrot: Parrot, user: str) -> None:
    thread_id = await parrot.begin(user, "Hello")
    full = await parrot.ask(user, "threads.get_by_id", thread_id=thread_id)
    assert (full["title"], texts(full["items"])) == ("Parrots", ["Hello", "Answer 1"])

    await parrot.ask(user, "threads.update", thread_id=thread_id, title="Birds")
    assert (await parrot.ask(user, "threads.get_by_id", thread_id=thread_id))["title"] == "Birds"

    await parrot.ask(user, "threads.delete", thread_id=thread_id)
    assert (await parrot.ask(user, "threads.list"))["data"] == []
    with pytest.raises(NotFoundError):
        await parrot.ask(user, "threads.get_by_id", thread_id=thread_id)


async def test_a_chatkit_server_answers_a_message_again(parrot: Parrot, user: str) -> None:
    thread_id = await parrot.begin(user, "Hello")
    for text in ("Again", "And again"):
        await parrot.ask(user, "threads.add_user_message", thread_id=thread_id, input=question(text))
    items = (await parrot.ask(user, "items.list", thread_id=thread_id, order="asc"))["data"]
    again = next(item["id"] for item in items if item["content"][0]["text"] == "Again")
    await parrot.ask(user, "threads.retry_after_item", thread_id=thread_id, item_id=again)
    assert await parrot.texts(user, thread_id, order="asc") == ["Hello", "Answer 1", "Again", "Answer 4"]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_items_are_paged_both_ways(parrot: Parrot, user: str, order: str) -> None:
    store, context = parrot.store, {"user_id": user}
    await store.save_thread(thread("thread-1"), context)
    expected = [answer("thread-1", f"item-{n}", str(n)) for n in range(25)]
    for item in expected:
        await store.add_thread_item("thread-1", item, context)

    read: list[str] = []
    sizes: list[int] = []
    after = None
    while True:
        page = await parrot.ask(user, "items.list", thread_id="thread-1", order=order, limit=10, after=after)
        read, sizes = read + texts(page), [*sizes, len(page["data"])]
        after = page["after"]
        if not page["has_more"]:
            break
    assert sizes == [10, 10, 5]
    assert read == [str(n) for n in range(25)][:: 1 if order == "asc" else -1]

    more = await store.load_thread_items("thread-1", after, 10, order, context)
    assert (more.data, more.has_more, more.after) == ([], False, after)  # so a second device can ask again
    from_item = await store.load_thread_items("thread-1", "item-12", 1, order, context)
    assert from_item.data == [expected[13 if order == "asc" else 11]]
    assert (await store.load_thread_items("thread-1", None, 1000, order, context)).has_more is False


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_threads_are_paged_both_ways_by_their_last_activity(parrot: Parrot, user: str, order: str) -> None:
    begun = [await parrot.begin(user, f"Hello {n}") for n in range(5)]
    read: list[str] = []
    page: Any = {"after": None, "has_more": True}
    while page["has_more"]:
        page = await parrot.ask(user, "threads.list", limit=2, order=order, after=page.get("after"))
        read += [item["id"] for item in page["data"]]
    assert read == begun[:: 1 if order == "asc" else -1]


async def test_files_are_the_backends_own(parrot: Parrot, user: str) -> None:
    message = question("Look") | {"attachments": ["file-1"]}
    with pytest.raises(NotImplementedError, match="keeps no files"):
        await parrot.ask(user, "threads.create", input=message)
    with pytest.raises(NotImplementedError, match="keeps no files"):
        await parrot.store.delete_attachment("file-1", {"user_id": user})


async def test_a_thread_goes_on_while_the_server_restarts(
    database: Database, user: str, token: str, tmp_path: Path
) -> None:
    server = ServerProcess(database, tmp_path / "server.log")
    store = TodoStore(server.url, token)
    parrot = Parrot(store)
    thread_id = await parrot.begin(user, "Hello")
    server.kill()
    message = parrot.ask(user, "threads.add_user_message", thread_id=thread_id, input=question("Again"))
    await asyncio.gather(asyncio.to_thread(server.restart), message)  # it is sent while nobody listens
    assert await parrot.texts(user, thread_id, order="asc") == ["Hello", "Answer 1", "Again", "Answer 2"]
    await store.todo.http.aclose()
    server.close()
