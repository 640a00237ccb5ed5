"""docs/examples/chatkit_store.py keeps the threads of ChatKit."""

from typing import Any

import pytest
from chatkit.store import NotFoundError
from chatkit.types import LockedStatus, ThreadItem
from chatkit_store import TodoStore
from pydantic import TypeAdapter

from tests.examples.faulty_network import FaultyNetwork
from tests.examples.parrot import NOON, answer, thread
from tests.support.server_process import Database

pytestmark = pytest.mark.anyio

# One item of each kind that is not a message of text.
KINDS: list[dict[str, Any]] = [
    {"type": "client_tool_call", "call_id": "c1", "name": "open_map", "arguments": {"zoom": 1.5}, "output": [1, None]},
    {"type": "widget", "widget": {"type": "Card", "children": [{"type": "Text", "value": "☂"}]}, "copy_text": "Rain"},
    {"type": "generated_image", "image": {"id": "i1", "url": "https://example.com/rain.png"}},
    {"type": "structured_input", "inputs": [{"type": "freeform", "id": "q1", "question": "Which city?"}]},
    {"type": "task", "task": {"type": "thought", "title": "Look outside", "content": "It is wet."}},
    {"type": "workflow", "workflow": {"type": "reasoning", "tasks": [{"type": "thought", "content": "Hm"}]}},
    {"type": "hidden_context_item", "content": {"clicked": True}},
    {"type": "sdk_hidden_context", "content": "The user cancelled the stream."},
    {"type": "end_of_turn"},
    {"type": "user_message", "content": [{"type": "input_tag", "id": "t1", "text": "@Paris", "data": {"n": 1}}],
     "quoted_text": "Where?", "inference_options": {"model": "any", "tool_choice": {"id": "map"}}},
]  # fmt: skip
READABLE = ["open_map\n1", "Rain", "[generated_image]", "Which city?", "Look outside\nIt is wet.", "Hm"]
READABLE += ["[hidden_context_item]", "The user cancelled the stream.", "[end_of_turn]", "@Paris"]


@pytest.mark.parametrize("fields", KINDS, ids=lambda fields: fields["type"])
async def test_each_kind_of_item_comes_back_equal(store: TodoStore, user: str, fields: dict[str, Any]) -> None:
    context = {"user_id": user}
    await store.save_thread(thread("thread-1"), context)
    adapter: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
    item = adapter.validate_python({"id": "item-1", "thread_id": "thread-1", "created_at": NOON, **fields})
    await store.add_thread_item("thread-1", item, context)
    assert await store.load_item("thread-1", "item-1", context) == item
    stored = await store.todo.call("GET", user, "thread-1", "messages", "item-1")
    assert stored["content"] == READABLE[KINDS.index(fields)]
    assert stored["role"] == ("user" if item.type == "user_message" else "assistant")


@pytest.mark.parametrize("title", [None, "Birds? 🦜 <b>"], ids=ascii)
async def test_a_thread_comes_back_equal(store: TodoStore, user: str, title: str | None) -> None:
    context = {"user_id": user}
    saved = thread("thread-1", title=title, metadata={"previous": "resp_1", "n": [1, 2.5, None]})
    saved.status, saved.allowed_image_domains = LockedStatus(reason="Closed"), ["a.example"]
    await store.save_thread(saved, context)
    assert await store.load_thread("thread-1", context) == saved
    await store.save_thread(thread("thread-1"), context)
    assert await store.load_thread("thread-1", context) == thread("thread-1")


@pytest.mark.parametrize(
    ("title", "kept"),
    [("x" * 300, "x" * 200), (" Two\r\nlines\0", "Two lines"), ("\u202e", None), ("", None)],
    ids=["long", "lines", "controls", "empty"],
)
async def test_a_title_keeps_what_a_title_may_hold(store: TodoStore, user: str, title: str, kept: str | None) -> None:
    await store.save_thread(thread("thread-1", title=title), {"user_id": user})
    assert (await store.load_thread("thread-1", {"user_id": user})).title == kept


async def test_a_title_that_another_program_gave_is_the_threads_title(store: TodoStore, user: str) -> None:
    context = {"user_id": user}
    await store.save_thread(thread("thread-1", title="Birds"), context)
    await store.todo.call("PATCH", user, "thread-1", json={"title": "Parrots"})
    assert await store.load_thread("thread-1", context) == thread("thread-1", title="Parrots")


async def test_a_partial_answer_is_replaced_in_its_place(store: TodoStore, user: str) -> None:
    context = {"user_id": user}
    await store.save_thread(thread("thread-1"), context)
    for item_id, text in [("a", "It"), ("b", "Next"), ("a", "It rains"), ("a", "It rains.")]:
        await store.save_item("thread-1", answer("thread-1", item_id, text), context)
    page = await store.load_thread_items("thread-1", None, 10, "asc", context)
    assert page.data == [answer("thread-1", "a", "It rains."), answer("thread-1", "b", "Next")]


async def test_a_strange_tool_result_does_not_lose_the_item(store: TodoStore, user: str) -> None:
    context = {"user_id": user}
    await store.save_thread(thread("thread-1", metadata={"a\0": "\ud800"}), context)
    assert (await store.load_thread("thread-1", context)).metadata == {"a\ufffd": "\ufffd"}
    fields = {
        "type": "client_tool_call",
        "call_id": "c1",
        "name": "read",
        "arguments": {},
        "output": {"x\0": ["\udfff"]},
    }
    adapter: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
    item = adapter.validate_python({"id": "item-1", "thread_id": "thread-1", "created_at": NOON, **fields})
    await store.add_thread_item("thread-1", item, context)
    loaded: Any = await store.load_item("thread-1", "item-1", context)
    assert loaded.output == {"x\ufffd": ["\ufffd"]}


async def test_two_users_with_one_thread_id_have_two_threads(store: TodoStore, database: Database, user: str) -> None:
    mine, theirs = {"user_id": user}, {"user_id": database.new_user()[0]}
    await store.save_thread(thread("thread-1", title="Mine"), mine)
    await store.add_thread_item("thread-1", answer("thread-1", "item-1", "Mine"), mine)
    with pytest.raises(NotFoundError):
        await store.load_thread("thread-1", theirs)
    await store.save_thread(thread("thread-1", title="Theirs"), theirs)
    assert (await store.load_thread_items("thread-1", None, 10, "asc", theirs)).data == []
    await store.delete_thread("thread-1", theirs)
    assert (await store.load_thread("thread-1", mine)).title == "Mine"
    assert (await store.load_item("thread-1", "item-1", mine)) == answer("thread-1", "item-1", "Mine")


async def test_a_missing_thread_or_item_is_not_found(store: TodoStore, user: str) -> None:
    context = {"user_id": user}
    for missing in (
        store.load_thread("none", context),
        store.load_thread("1", context),
        store.delete_thread("none", context),
        store.load_thread_items("none", None, 10, "asc", context),
        store.add_thread_item("none", answer("none", "item-1", "Hello"), context),
        store.save_item("none", answer("none", "item-1", "Hello"), context),
        store.load_item("none", "item-1", context),
    ):
        with pytest.raises(NotFoundError):
            await missing
    await store.save_thread(thread("thread-1"), context)
    with pytest.raises(NotFoundError):
        await store.load_item("thread-1", "item-1", context)
    with pytest.raises(NotFoundError):
        await store.load_thread_items("thread-1", "item-1", 10, "asc", context)
    await store.delete_thread_item("thread-1", "item-1", context)  # as if another device had deleted it


async def test_what_other_programs_wrote_is_left_out(store: TodoStore, user: str) -> None:
    context = {"user_id": user}
    await store.todo.call("POST", user, json={"ref": "chat-1", "title": "Not of ChatKit"}, key="not-of-chatkit")
    await store.save_thread(thread("thread-1"), context)
    await store.add_thread_item("thread-1", answer("thread-1", "item-1", "Hello"), context)
    note = {"role": "assistant", "content": "A note of a program without ChatKit."}
    await store.todo.call("POST", user, "thread-1", "messages", json=note, key="a-note-of-another")

    assert [kept.id for kept in (await store.load_threads(10, None, "desc", context)).data] == ["thread-1"]
    page = await store.load_thread_items("thread-1", None, 1, "asc", context)
    assert (page.data, page.has_more) == ([answer("thread-1", "item-1", "Hello")], True)
    page = await store.load_thread_items("thread-1", page.after, 1, "asc", context)
    assert (page.data, page.has_more) == ([], False)


async def test_a_refused_call_is_repeated(network: FaultyNetwork, token: str, user: str) -> None:
    store = TodoStore(network.url, token)
    network.faults = [429, "lost", 503]
    await store.save_thread(thread("thread-1"), {"user_id": user})
    network.faults = ["lost"]
    await store.delete_thread("thread-1", {"user_id": user})
    with pytest.raises(NotFoundError):
        await store.load_thread("thread-1", {"user_id": user})
    await store.todo.http.aclose()
