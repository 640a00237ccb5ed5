"""user_id in the query or the body, by the same rules as for the tools."""

import json
from typing import Any

import pytest

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, append, messages_of, post_text, refused, send, start, stored
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
MESSAGE = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize("user_id", ["alice", "me"])
async def test_a_personal_token_may_name_its_own_user(as_alice: Caller, user_id: str) -> None:
    conversation = await start(as_alice, user_id=user_id)
    in_body = await send(as_alice, "POST", START, json={"user_id": user_id})
    assert in_body.json()["user_id"] == "alice"
    url = messages_of(conversation)
    for message in (MESSAGE, {**MESSAGE, "user_id": user_id}):
        assert (await send(as_alice, "POST", url, json=message)).json()["user_id"] == "alice"
    for path in (START, url, f"{START}/{conversation}"):
        assert (await send(as_alice, "GET", path, params={"user_id": user_id})).status_code == 200
    assert (await send(as_alice, "DELETE", f"{START}/{conversation}?user_id={user_id}")).status_code == 204


@pytest.mark.parametrize("user_id", ["bob", "nobody", "Alice", "alice "])
async def test_another_user_is_forbidden_whether_or_not_the_user_exists(
    as_alice: Caller, as_bob: Caller, orm: Orm, user_id: str
) -> None:
    conversation = await start(as_alice)
    url = messages_of(conversation)
    answers = [
        await send(as_alice, "POST", START, params={"user_id": user_id}),
        await send(as_alice, "POST", START, json={"user_id": user_id}),
        await send(as_alice, "POST", url, json={**MESSAGE, "user_id": user_id}),
        await send(as_alice, "POST", url, json=[MESSAGE], params={"user_id": user_id}),
        await send(as_alice, "GET", url, params={"user_id": user_id}),
        await send(as_alice, "GET", START, params={"user_id": user_id}),
        await send(as_alice, "DELETE", f"{START}/{conversation}", params={"user_id": user_id}),
    ]
    for answer in answers:
        refused(answer, 403, "forbidden")
    assert len({answer.text for answer in answers}) == 1
    assert await orm(lambda: stored(conversation)) == []


async def test_a_service_must_name_an_existing_user(as_service: Caller, alice: User, orm: Orm) -> None:
    refused(await send(as_service, "POST", START), 400, "invalid_arguments", user_id="is required")
    refused(await send(as_service, "POST", START, json={"user_id": "me"}), 400, "invalid_arguments", user_id="required")
    refused(await send(as_service, "GET", START + "?user_id=nobody"), 404, "user_not_found")
    conversation = await start(as_service, user_id="alice")
    await append(as_service, conversation, "Hello", params={"user_id": "alice"})
    one = await send(as_service, "POST", messages_of(conversation), json={**MESSAGE, "user_id": "alice"})
    assert one.json()["user_id"] == "alice"
    assert len(await orm(lambda: stored(conversation))) == 2


@pytest.mark.parametrize("second", ["alice", "bob"])
async def test_a_user_named_twice_is_refused(as_alice: Caller, second: str) -> None:
    conversation = await start(as_alice)
    twice: list[tuple[str, str, Any]] = [
        ("POST", f"{START}?user_id=alice", {"user_id": second}),
        ("POST", f"{START}?user_id=alice&user_id={second}", None),
        ("POST", f"{messages_of(conversation)}?user_id=alice", {**MESSAGE, "user_id": second}),
        ("GET", f"{START}?user_id=alice&user_id={second}", None),
        ("GET", f"{messages_of(conversation)}?user_id={second}&last=2&user_id=alice", None),
        ("DELETE", f"{START}/{conversation}?user_id=alice&user_id={second}", None),
    ]
    for method, url, body in twice:
        refused(await send(as_alice, method, url, json=body), 400, "invalid_arguments", user_id="given twice")
    text = f'{{"user_id": "alice", "user_id": "{second}"}}'
    refused(await post_text(as_alice, START, text), 400, "invalid_arguments", body="same key twice")


@pytest.mark.parametrize("bad", ["a\x00b", "\ud800", "x" * 256, 7, True, ["alice"], {"id": "alice"}])
async def test_an_invalid_user_id_is_refused_by_name(as_service: Caller, alice: User, bad: object) -> None:
    text = json.dumps({"user_id": bad})
    refused(await post_text(as_service, START, text), 400, "invalid_arguments", user_id="must")
    conversation = await start(as_service, user_id="alice")
    text = json.dumps({**MESSAGE, "user_id": bad})
    refused(await post_text(as_service, messages_of(conversation), text), 400, "invalid_arguments", user_id="must")


async def test_the_messages_of_a_turn_may_not_name_a_user(as_alice: Caller) -> None:
    conversation = await start(as_alice)
    response = await send(as_alice, "POST", messages_of(conversation), json=[{**MESSAGE, "user_id": "alice"}])
    refused(response, 400, "invalid_arguments", messages__0__user_id="unknown")
