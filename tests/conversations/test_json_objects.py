"""An item and metadata come back as the same JSON value, up to their limits."""

import json
from typing import Any

import pytest

from conversations.models import ITEM_MAX, METADATA_MAX, Message
from tests.conversations.test_pages import pages
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, messages_of, post_text, refused, row_counts, send, start
from tests.support.tool_calls import LONE_SURROGATES

pytestmark = pytest.mark.anyio
MESSAGE = {"role": "assistant", "content": "Added the task."}
VALUES: dict[str, Any] = {
    "empty": {},
    "tool call": {"type": "function_call", "name": "add_task", "arguments": '{"title": "Call the bank"}'},
    "types": {"a": None, "b": True, "c": False, "d": [], "e": {}, "f": [1, "1", 1.5, [None]], "": ""},
    "numbers": {"big": 2**70, "small": -(2**70), "float": 0.1, "tiny": 5e-324, "huge": 1.7976931348623157e308},
    "zeros": {"float": 1.0, "minus": -0.0, "exponent": 1e25},
    "texts": {"controls": "".join(map(chr, range(1, 32))) + "\x7f\x85", "bidi": "\u202eabc", "emoji": "👩\u200d👧"},
    "backslashes": {"a": "\\u0000", "b": "\\\\u0000", "\\u0000": "\\"},
    "order": {"z": 1, "a": 2, "m": 3},
    "html": {"</script>": "<b>&amp;"},
}


@pytest.mark.parametrize("name", VALUES)
async def test_a_json_object_comes_back_as_the_same_value(as_alice: Caller, name: str) -> None:
    value = VALUES[name]
    made = await send(as_alice, "POST", START, json={"ref": "chat", "metadata": value})
    put = await send(as_alice, "PUT", f"{START}/other", json={"metadata": value})
    patched = await send(as_alice, "PATCH", f"{START}/other", json={"metadata": value})
    read = [await send(as_alice, "GET", f"{START}/{ref}") for ref in ("chat", "other")]
    listed = (await send(as_alice, "GET", START)).json()["conversations"]
    found = [response.json()["metadata"] for response in (made, put, patched, *read)]
    for metadata in (*found, *(row["metadata"] for row in listed)):
        assert repr(metadata) == repr(value)  # also the order of keys, and 1.0 for 1.0

    url = messages_of("chat")
    appended = await send(as_alice, "POST", url, json=[{**MESSAGE, "item": value, "ref": "one"}])
    changed = await send(as_alice, "PUT", f"{url}/one", json={**MESSAGE, "item": value})
    one = await send(as_alice, "GET", f"{url}/one")
    for query in ("", "?last=1", "?order=desc"):
        [message] = (await send(as_alice, "GET", url + query)).json()["messages"]
        assert repr(message["item"]) == repr(value)
    for message in (*appended.json(), changed.json(), one.json()):
        assert repr(message["item"]) == repr(value)


def object_of(size: int) -> dict[str, Any]:
    """An object that has this many bytes as compact JSON in UTF-8."""
    text = "\U0001f600" * 100
    return {"text": text + "x" * (size - len(json.dumps({"text": text}, ensure_ascii=False).encode()) + 1)}


async def test_a_json_object_may_have_as_many_bytes_as_its_limit(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    url = messages_of(conversation)
    for maximum, method, path, body, field in (
        (METADATA_MAX, "PATCH", f"{START}/{conversation}", {}, "metadata"),
        (METADATA_MAX, "POST", START, {}, "metadata"),
        (ITEM_MAX, "POST", url, MESSAGE, "item"),
        (ITEM_MAX, "PUT", f"{url}/one", MESSAGE, "item"),
    ):
        fits, too_large = object_of(maximum), object_of(maximum + 1)
        assert len(json.dumps(fits, ensure_ascii=False, separators=(",", ":")).encode()) == maximum
        answer = await send(as_alice, method, path, json={**body, field: too_large})
        refused(answer, 400, "invalid_arguments", **{field: f"at most {maximum} bytes"})
        spaced = json.dumps({**body, field: fits}, indent=8)  # spaces and escapes do not count
        headers = {"Content-Type": "application/json"}
        answer = await send(as_alice, method, path, content=spaced, headers=headers)
        assert answer.json()[field] == fits
    assert await orm(row_counts) == (2, 2)


@pytest.mark.parametrize("bad", ['"\\u0000"', *(json.dumps(f"a{one}") for one in LONE_SURROGATES), "1e999", "-1e999"])
@pytest.mark.parametrize("shape", ['{{"a": {}}}', '{{"a": [1, {{"b": {}}}]}}'])
async def test_what_cannot_come_back_is_refused_by_name(as_alice: Caller, orm: Orm, bad: str, shape: str) -> None:
    value = shape.format(bad)
    answer = await post_text(as_alice, START, f'{{"metadata": {value}}}')
    refused(answer, 400, "invalid_arguments", metadata="must not contain")
    answer = await post_text(
        as_alice, messages_of(await start(as_alice)), f'[{{"role": "user", "content": "x", "item": {value}}}]'
    )
    refused(answer, 400, "invalid_arguments", messages__0__item="must not contain")
    assert await orm(row_counts) == (1, 0)


@pytest.mark.parametrize("key", ["\\u0000", "\\ud800"])
async def test_a_key_that_cannot_come_back_is_refused_by_name(as_alice: Caller, key: str) -> None:
    answer = await post_text(as_alice, START, f'{{"metadata": {{"{key}": 1}}}}')
    refused(answer, 400, "invalid_arguments", metadata="must not contain")


@pytest.mark.parametrize("value", [[1], [], "x", "", 7, True, 1.5])
async def test_only_an_object_is_accepted(as_alice: Caller, orm: Orm, value: Any) -> None:
    refused(await send(as_alice, "POST", START, json={"metadata": value}), 400, "invalid_arguments", metadata="object")
    url = messages_of(await start(as_alice))
    refused(await send(as_alice, "POST", url, json={**MESSAGE, "item": value}), 400, "invalid_arguments", item="object")
    refused(
        await send(as_alice, "PUT", f"{url}/x", json={**MESSAGE, "item": value}),
        400,
        "invalid_arguments",
        item="object",
    )
    assert await orm(row_counts) == (1, 0)


async def test_a_page_with_items_stops_before_8_mib_and_nothing_is_skipped(as_alice: Caller) -> None:
    url = messages_of(await start(as_alice))
    item = object_of(250_000)
    turns = [(await send(as_alice, "POST", url, json=[{**MESSAGE, "item": item}] * 10)).json() for _ in range(5)]
    ids = [message["id"] for turn in turns for message in turn]
    read = await pages(as_alice, url, "messages", 100)
    assert ([id for page in read for id in page], [len(page) for page in read]) == (ids, [33, 17])
    last = await send(as_alice, "GET", f"{url}?last=50")
    assert [message["id"] for message in last.json()["messages"]] == ids[-33:]
    assert last.json()["has_more"] is True
    assert len(last.content) < 8 * 1024 * 1024 + 33 * 300


async def test_one_message_of_the_greatest_size_is_a_page(as_alice: Caller, orm: Orm) -> None:
    url = messages_of(await start(as_alice))
    message = {"role": "user", "content": "\U0001f600" * 100_000, "item": object_of(ITEM_MAX)}
    await send(as_alice, "POST", url, json=[message] * 3)
    answer = (await send(as_alice, "GET", f"{url}?limit=1")).json()
    assert ([one["item"] for one in answer["messages"]], answer["has_more"]) == ([message["item"]], True)
    assert await orm(Message.objects.count) == 3
