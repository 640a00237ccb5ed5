"""A valid request to every route, and what one user can see of another user's conversations."""

from typing import Any

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, append, messages_of, refused, send, start, stored
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

# Each route that names a conversation, with a body if it takes one.
ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("GET", "", None),
    ("DELETE", "", None),
    ("GET", "/messages", None),
    ("GET", "/messages?last=5", None),
    ("POST", "/messages", {"role": "user", "content": "Hello"}),
    ("POST", "/messages", [{"role": "user", "content": "Hello"}]),
)


async def test_a_conversation_is_started_read_and_listed(as_alice: Caller) -> None:
    created = await send(as_alice, "POST", START)
    assert created.status_code == 201
    conversation = created.json()
    assert set(conversation) == {"id", "user_id", "created_at", "updated_at"}
    assert conversation["user_id"] == "alice"
    assert conversation["created_at"] == conversation["updated_at"]
    assert conversation["created_at"].endswith("Z")
    read = await send(as_alice, "GET", f"{START}/{conversation['id']}")
    assert (read.status_code, read.json()) == (200, conversation)
    list_response = await send(as_alice, "GET", START)
    assert list_response.json() == {"conversations": [conversation], "has_more": False, "next_cursor": None}


async def test_one_message_is_answered_as_one_and_a_turn_as_a_list(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    message = {"role": "assistant", "content": "  Hello\n\tthere  "}
    one = await send(as_alice, "POST", messages_of(conversation), json=message)
    assert one.status_code == 201
    assert set(one.json()) == {"id", "conversation_id", "user_id", "role", "content", "created_at"}
    assert one.json().items() >= {**message, "conversation_id": conversation, "user_id": "alice"}.items()
    turn = await send(as_alice, "POST", messages_of(conversation), json=[message])
    assert [row["content"] for row in turn.json()] == [message["content"]]
    assert await orm(lambda: stored(conversation)) == [("assistant", message["content"])] * 2


async def test_an_append_sets_the_conversations_time_and_moves_it_to_the_front(as_alice: Caller) -> None:
    first, second = await start(as_alice), await start(as_alice)
    turn = await append(as_alice, first, "Question", "Answer")
    conversations = (await send(as_alice, "GET", START)).json()["conversations"]
    assert [conversation["id"] for conversation in conversations] == [first, second]
    assert conversations[0]["updated_at"] == turn[0]["created_at"] == turn[1]["created_at"]
    assert conversations[0]["updated_at"] > conversations[0]["created_at"]


async def test_a_deleted_conversation_is_gone_with_its_messages(as_alice: Caller, orm: Orm) -> None:
    first, second = await start(as_alice), await start(as_alice)
    await append(as_alice, first, "Question", "Answer")
    await append(as_alice, second, "Question")
    response = await send(as_alice, "DELETE", f"{START}/{first}")
    assert (response.status_code, response.content) == (204, b"")
    assert await orm(lambda: stored(first)) == []
    assert len(await orm(lambda: stored(second))) == 1
    for method, path, body in ROUTES:
        refused(await send(as_alice, method, f"{START}/{first}{path}", json=body), 404, "conversation_not_found")


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_bobs_conversation_gets_the_same_answer_as_a_missing_one(
    as_alice: Caller, as_bob: Caller, as_service: Caller, orm: Orm, method: str, path: str, body: Any
) -> None:
    bobs = await start(as_bob)
    await append(as_bob, bobs, "Private")
    before = await orm(lambda: stored(bobs))
    for caller, query in ((as_alice, {}), (as_service, {"user_id": "alice"})):
        foreign = await send(caller, method, f"{START}/{bobs}{path}", json=body, params=query or None)
        missing = await send(caller, method, f"{START}/{bobs + 1000}{path}", json=body, params=query or None)
        refused(foreign, 404, "conversation_not_found")
        assert foreign.text == missing.text.replace(str(bobs + 1000), str(bobs))
        assert {*foreign.headers} == {*missing.headers}
    assert await orm(lambda: stored(bobs)) == before


async def test_alice_lists_only_her_own_conversations(as_alice: Caller, as_bob: Caller) -> None:
    await start(as_bob)
    assert (await send(as_alice, "GET", START)).json()["conversations"] == []


@pytest.mark.parametrize(("method", "path", "body"), [("POST", START, None), ("GET", START, None), *ROUTES])
async def test_every_route_checks_the_token_before_anything_else(
    http: httpx2.AsyncClient, as_alice: Caller, method: str, path: str, body: Any
) -> None:
    url = path if path.startswith(START) else f"{START}/{await start(as_alice)}{path}"
    for token, challenge in (("wrong", 'error="invalid_token"'), (as_alice.token + "x", 'error="invalid_token"')):
        response = await send(Caller(http, token), method, url, json=body)
        refused(response, 401, "unauthenticated")
        assert challenge in response.headers["www-authenticate"]
    without = await http.request(method, url, json=body)
    refused(without, 401, "unauthenticated")
    assert "invalid_token" not in without.headers["www-authenticate"]
    for invalid in ({"content": b"{"}, {"json": {"x": 1}, "params": {"y": "1"}}):
        refused(await send(Caller(http, "wrong"), method, url, **invalid), 401, "unauthenticated")
    refused(await send(Caller(http, "wrong"), "PUT", url), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "path", "body", "scope"),
    [
        ("POST", START, None, "conversations:write"),
        ("GET", START, None, "conversations:read"),
        *(
            (method, path, body, f"conversations:{'read' if method == 'GET' else 'write'}")
            for method, path, body in ROUTES
        ),
    ],
)
async def test_every_route_requires_its_scope(
    http: httpx2.AsyncClient, as_alice: Caller, orm: Orm, method: str, path: str, body: Any, scope: str
) -> None:
    conversation = await start(as_alice)
    url = path if path.startswith(START) else f"{START}/{conversation}{path}"
    others = ["tasks:read", "tasks:write", "conversations:read", "conversations:write"]
    others.remove(scope)
    without_scope = Caller(http, await orm(lambda: issue_token(user_id="alice", scopes=others)))
    response = await send(without_scope, method, url, json=body)
    refused(response, 403, "forbidden")
    assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
    assert scope in response.headers["www-authenticate"]
    only_with_scope = Caller(http, await orm(lambda: issue_token(user_id="alice", scopes=[scope])))
    assert (await send(only_with_scope, method, url, json=body)).is_success


async def test_a_deactivated_user_is_refused(as_alice: Caller, as_service: Caller, orm: Orm) -> None:
    await orm(lambda: User.objects.update(is_active=False))
    refused(await send(as_alice, "GET", START), 401, "unauthenticated")
    refused(await send(as_service, "GET", START + "?user_id=alice"), 403, "forbidden")
