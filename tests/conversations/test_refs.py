"""A caller's own names: a path or a query takes them wherever it takes an id, and one name has one row."""

from typing import Any
from urllib.parse import quote

import pytest

from conversations.models import Conversation, Message
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, append, messages_of, refused, row_counts, send, start

pytestmark = pytest.mark.anyio
MESSAGE = {"role": "user", "content": "Hello"}
GOOD = ["a", "a" * 64, "0a", "thr_1-2.3:4@5", "me", "null", "1e3", "A"]
BAD = ["", "-a", "_a", ".a", ":a", "a" * 65, "a b", "ä", "١٢", "a\n", "a%", "é", "a+b"]
BAD += ["1/messages", "a;b", "a\\b"]  # a path has these escaped


@pytest.mark.parametrize("ref", GOOD)
async def test_a_ref_names_its_conversation_and_its_message_in_each_path(as_alice: Caller, ref: str) -> None:
    made = (await send(as_alice, "POST", START, json={"ref": ref})).json()
    assert made["ref"] == ref
    url = f"{START}/{quote(ref, safe='')}"
    message = (await send(as_alice, "POST", f"{url}/messages", json={**MESSAGE, "ref": ref})).json()
    assert (message["ref"], message["conversation_id"]) == (ref, made["id"])
    one = f"{url}/messages/{quote(ref, safe='')}"
    for path, name in ((url, made["id"]), (one, message["id"])):
        assert (await send(as_alice, "GET", path)).json()["id"] == name
    assert (await send(as_alice, "GET", f"{url}/messages?last=1")).json()["messages"] == [message]
    changed = await send(as_alice, "PUT", one, json={**MESSAGE, "content": "Changed"})
    assert (changed.status_code, changed.json()["id"]) == (200, message["id"])
    assert (await send(as_alice, "PATCH", url, json={"title": "Changed"})).json()["id"] == made["id"]
    for path in (one, url):
        assert [(await send(as_alice, "DELETE", path)).status_code for _ in range(2)] == [204, 404]


@pytest.mark.parametrize("ref", [*BAD, "12", "0"])
async def test_a_bad_ref_in_a_body_is_refused_by_name(as_alice: Caller, orm: Orm, ref: str) -> None:
    refused(await send(as_alice, "POST", START, json={"ref": ref}), 400, "invalid_arguments", ref="must be")
    url = messages_of(await start(as_alice))
    refused(await send(as_alice, "POST", url, json={**MESSAGE, "ref": ref}), 400, "invalid_arguments", ref="must be")
    turn = [MESSAGE, {**MESSAGE, "ref": ref}]
    refused(await send(as_alice, "POST", url, json=turn), 400, "invalid_arguments", messages__1__ref="must be")
    assert await orm(row_counts) == (1, 0)


@pytest.mark.parametrize("ref", [ref for ref in BAD if ref and ref.isprintable()])
async def test_a_bad_ref_in_a_path_or_a_query_is_refused_by_name(as_alice: Caller, orm: Orm, ref: str) -> None:
    url, name = messages_of(await start(as_alice)), quote(ref, safe="")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = await send(as_alice, method, f"{START}/{name}")
        refused(answer, 400, "invalid_arguments", conversation_id="must be")
    for method in ("GET", "PUT", "DELETE"):
        answer = await send(as_alice, method, f"{url}/{name}", json=MESSAGE if method == "PUT" else None)
        refused(answer, 400, "invalid_arguments", message_id="must be")
    refused(await send(as_alice, "GET", f"{url}?after={name}"), 400, "invalid_arguments", after="must be")
    for argument in ("replace", "expected_last"):
        answer = await send(as_alice, "POST", f"{url}?{argument}={name}", json=MESSAGE)
        refused(answer, 400, "invalid_arguments", **{argument: "must be"})
    assert await orm(row_counts) == (1, 0)


async def test_null_is_left_out(as_alice: Caller) -> None:
    made = (await send(as_alice, "POST", START, json={"ref": None, "title": None, "metadata": None})).json()
    assert made.keys() == {"id", "user_id", "created_at", "updated_at"}
    message = await send(as_alice, "POST", messages_of(made["id"]), json={**MESSAGE, "ref": None, "item": None})
    assert message.json().keys() == {"id", "conversation_id", "user_id", "role", "content", "created_at"}


async def test_a_ref_is_unique_among_the_conversations_of_one_user(as_alice: Caller, as_bob: Caller, orm: Orm) -> None:
    first = (await send(as_alice, "POST", START, json={"ref": "one"})).json()
    answer = await send(as_alice, "POST", START, json={"ref": "one", "title": "Another"})
    refused(answer, 409, "ref_conflict")
    assert answer.json()["data"]["ref"] == "one"
    assert (await send(as_alice, "GET", f"{START}/one")).json() == first
    others = [(await send(caller, "POST", START, json={"ref": ref})).json()["id"]
              for caller, ref in ((as_alice, "One"), (as_bob, "one"))]  # fmt: skip
    assert len({first["id"], *others}) == 3
    assert await orm(Conversation.objects.count) == 3


async def test_a_ref_is_unique_among_the_messages_of_one_conversation(as_alice: Caller, orm: Orm) -> None:
    one, other = await start(as_alice), await start(as_alice)
    for conversation in (one, other):
        message = {**MESSAGE, "ref": "same"}
        assert (await send(as_alice, "POST", messages_of(conversation), json=message)).status_code == 201
    for refs in (["same"], ["new", "same", "newer"], ["twice", "twice"]):
        turn = [{**MESSAGE, "ref": ref} for ref in refs]
        answer = await send(as_alice, "POST", messages_of(one), json=turn)
        refused(answer, 409, "ref_conflict")
        assert answer.json()["data"]["ref"] == ("same" if "same" in refs else "twice")
    assert await orm(Message.objects.count) == 2


async def test_another_users_ref_and_a_message_of_another_conversation_read_as_none(
    as_alice: Caller, as_bob: Caller, orm: Orm
) -> None:
    bobs = (await send(as_bob, "PUT", f"{START}/chat", json={"title": "Bobs"})).json()["id"]
    await send(as_bob, "PUT", f"{START}/chat/messages/first", json=MESSAGE)
    [message] = (await send(as_bob, "GET", messages_of(bobs))).json()["messages"]
    for key in ("chat", bobs):
        for method, path, body in _calls(key, message["id"]):
            if (key, method, path) != ("chat", "PUT", f"{START}/chat"):  # that one makes Alice's own
                refused(await send(as_alice, method, path, json=body), 404, "conversation_not_found")
    alices = await start(as_alice)
    await append(as_alice, alices, "a")
    for key in ("first", message["id"]):
        for method, body in (("GET", None), ("DELETE", None)):
            answer = await send(as_alice, method, f"{messages_of(alices)}/{key}", json=body)
            refused(answer, 404, "message_not_found")
        refused(await send(as_alice, "GET", f"{messages_of(alices)}?after={key}"), 404, "message_not_found")
        answer = await send(as_alice, "POST", f"{messages_of(alices)}?replace={key}", json=MESSAGE)
        refused(answer, 404, "message_not_found")
    put = await send(as_alice, "PUT", f"{messages_of(alices)}/{message['id']}", json=MESSAGE)
    refused(put, 404, "message_not_found")
    assert (await send(as_bob, "GET", messages_of("chat"))).json()["messages"] == [message]
    assert await orm(row_counts) == (2, 2)


def _calls(key: Any, message: int) -> list[tuple[str, str, Any]]:
    url = f"{START}/{key}"
    one = f"{url}/messages/first"
    return [
        ("GET", url, None),
        ("PUT", url, {}),
        ("PATCH", url, {}),
        ("DELETE", url, None),
        ("GET", f"{url}/messages", None),
        ("GET", f"{url}/messages?after=first", None),
        ("POST", f"{url}/messages", MESSAGE),
        ("POST", f"{url}/messages?replace={message}", MESSAGE),
        ("POST", f"{url}/messages?expected_last=0", MESSAGE),
        ("GET", one, None),
        ("PUT", one, MESSAGE),
        ("DELETE", one, None),
    ]
