"""Invalid input is refused by name, before anything is stored."""

import json
from typing import Any

import pytest

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, append, messages_of, post_text, refused, row_counts, send, start, stored
from tests.support.tool_calls import CONTROLS, LONE_SURROGATES

pytestmark = pytest.mark.anyio
MESSAGE = {"role": "user", "content": "Hello"}
NOT_JSON = ("multipart/form-data; boundary=x", "text/plain", "text/json", "*/*")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"role": "user"}, {"content": "is required"}),
        ({"content": "x"}, {"role": "is required"}),
        ({}, {"role": "is required", "content": "is required"}),
        ({**MESSAGE, "mood": "good"}, {"mood": "unknown"}),
        ({**MESSAGE, "id": 1, "created_at": "2026-01-01"}, {"id": "unknown", "created_at": "unknown"}),
        ({**MESSAGE, "idempotency_key": "12345678"}, {"idempotency_key": "unknown"}),
        ({**MESSAGE, "conversation_id": 1}, {"conversation_id": "unknown"}),
        ({"messages": [MESSAGE]}, {"messages": "unknown", "role": "is required", "content": "is required"}),
        ({"role": "system", "content": "x"}, {"role": "'user' or 'assistant'"}),
        ({"role": "User", "content": "x"}, {"role": "'user' or 'assistant'"}),
        ({"role": None, "content": None}, {"role": "must be", "content": "must be a string"}),
        ({"role": 1, "content": 1}, {"role": "must be", "content": "must be a string"}),
        ({"role": ["user"], "content": ["x"]}, {"role": "must be", "content": "must be a string"}),
        ({"role": "user", "content": ""}, {"content": "1 to 100000 characters"}),
        ([], {"messages": "at least 1"}),
        ([MESSAGE] * 101, {"messages": "at most 100"}),
        ([MESSAGE, {"role": "user"}], {"messages__1__content": "is required"}),
        ([MESSAGE, "Hello"], {"messages__1": ""}),
        ([[MESSAGE]], {"messages__0": ""}),
        ("Hello", {"body": "must be"}),
        (7, {"body": "must be"}),
        (True, {"body": "must be"}),
        (None, {"body": "must be"}),
    ],
)
async def test_an_invalid_message_is_refused_by_name(
    as_alice: Caller, orm: Orm, body: Any, fields: dict[str, str]
) -> None:
    conversation = await start(as_alice)
    response = await post_text(as_alice, messages_of(conversation), json.dumps(body))
    refused(response, 400, "invalid_arguments", **fields)
    assert await orm(row_counts) == (1, 0)


@pytest.mark.parametrize("body", ["[]", '"x"', "7", "null", '{"name": "x"}', '{"id": 7}', '{"messages": []}'])
async def test_a_start_accepts_no_unknown_field(as_alice: Caller, orm: Orm, body: str) -> None:
    response = await post_text(as_alice, START, body)
    assert response.status_code == 400
    assert response.json()["data"]["error"] == "invalid_arguments"
    assert await orm(row_counts) == (0, 0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"role": "user", "role": "user", "content": "x"}', "same key twice"),
        (b'[{"role": "user", "content": "x", "content": "y"}]', "same key twice"),
        (b'{"role": "user", "content": "\xff"}', "UTF-8"),
        (b'{"role": "user", "content": NaN}', "NaN"),
        (b"{'role': 'user'}", "not JSON"),
        (b"role=user&content=x", "not JSON"),
        (b"[" * 33 + b"]" * 33, "nested deeper"),
        (b"[" * 100_000, "nested deeper"),
    ],
)
async def test_a_body_that_is_not_strict_json_is_refused(as_alice: Caller, orm: Orm, body: bytes, reason: str) -> None:
    for url in (START, messages_of(await start(as_alice))):
        refused(await post_text(as_alice, url, body), 400, "invalid_arguments", body=reason)
    assert await orm(row_counts) == (1, 0)


@pytest.mark.parametrize("content_type", NOT_JSON)
async def test_another_content_type_is_415(as_alice: Caller, orm: Orm, content_type: str) -> None:
    url = messages_of(await start(as_alice))
    response = await post_text(as_alice, url, json.dumps(MESSAGE), content_type)
    refused(response, 415, "unsupported_media_type")
    assert "application/json" in response.json()["message"]
    assert await orm(row_counts) == (1, 0)


async def test_a_start_without_a_body_needs_no_content_type(as_alice: Caller) -> None:
    for content_type in NOT_JSON:
        assert (await post_text(as_alice, START, b"", content_type)).status_code == 201


@pytest.mark.parametrize("control", ["\x00", *LONE_SURROGATES])
async def test_nul_and_lone_surrogates_are_refused_by_name(as_alice: Caller, control: str) -> None:
    url = messages_of(await start(as_alice))
    text = json.dumps({"role": "user", "content": f"a{control}b"})
    refused(await post_text(as_alice, url, text), 400, "invalid_arguments", content="must not contain")


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "\t\n",
        "a\r\nb\rc",
        "".join(CONTROLS[1:]),
        "\u200b",
        "\u202eabc",
        "e\u0301",
        "👩\u200d👩\u200d👧",
        "<script>",
    ],
)
async def test_any_other_text_is_stored_unchanged(as_alice: Caller, orm: Orm, text: str) -> None:
    conversation = await start(as_alice)
    (message,) = await append(as_alice, conversation, text)
    assert message["content"] == text
    assert await orm(lambda: stored(conversation)) == [("user", text)]


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("char", ["x", "\u20ac", "\U0001f600"])
async def test_100_000_characters_fit_escaped_or_not_and_one_more_is_refused(
    as_alice: Caller, orm: Orm, char: str, escaped: bool
) -> None:
    conversation = await start(as_alice)
    for content in (char * 100_000, char * 100_001):
        text = json.dumps({"role": "user", "content": content}, ensure_ascii=escaped).encode()
        response = await post_text(as_alice, messages_of(conversation), text)
        if len(content) == 100_000:
            assert response.json()["content"] == content
        else:
            refused(response, 400, "invalid_arguments", content="this is 100001")
    assert await orm(lambda: stored(conversation)) == [("user", char * 100_000)]


async def test_a_turn_larger_than_four_mebibytes_is_413_and_one_just_below_is_not(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    fits = [{"role": "user", "content": "x" * 100_000}] * 41
    assert len((await send(as_alice, "POST", messages_of(conversation), json=fits)).json()) == 41
    response = await send(as_alice, "POST", messages_of(conversation), json=[*fits, *fits])
    refused(response, 413, "invalid_request")
    assert len(await orm(lambda: stored(conversation))) == 41


@pytest.mark.parametrize("id", ["0", "-1", "9223372036854775808", "1" * 400, "%D9%A1", "a b", "x" * 65, "_x"])
async def test_an_invalid_id_is_refused_by_name(as_alice: Caller, id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/messages")):
        response = await send(as_alice, method, f"{START}/{id}{path}")
        refused(response, 400, "invalid_arguments", conversation_id="must be")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("page=2", {"page": "unknown"}),
        ("format=xml", {"format": "unknown"}),
        ("format=json", {"format": "unknown"}),
        ("limit=null", {"limit": "must be"}),
        ("limit=7.0", {"limit": "must be"}),
        ("limit=0", {"limit": "1"}),
        ("limit=101", {"limit": "100"}),
        ("limit=5&limit=5", {"limit": "given twice"}),
        ("last=0", {"last": "1"}),
        ("last=101", {"last": "100"}),
        ("last=-5", {"last": "must be"}),
        ("last=2&limit=5", {"last": "not possible with"}),
        ("last=2&cursor=MTc2NzIyNTYwMDAwMDAwMC43", {"last": "not possible with"}),
        ("cursor=forged", {"cursor": "next_cursor"}),
        ("cursor=MS4x&cursor=MS4x", {"cursor": "given twice"}),
        ("conversation_id=1", {"conversation_id": "given twice"}),
        ("idempotency_key=12345678", {"idempotency_key": "unknown"}),
    ],
)
async def test_a_bad_query_is_refused_by_name(as_alice: Caller, query: str, fields: dict[str, str]) -> None:
    url = messages_of(await start(as_alice))
    refused(await send(as_alice, "GET", f"{url}?{query}"), 400, "invalid_arguments", **fields)


async def test_a_query_of_a_thousand_unknown_names_is_refused_like_any_other(as_alice: Caller) -> None:
    response = await send(as_alice, "GET", START + "?" + "&".join(f"a{n}" for n in range(1500)))
    assert (response.status_code, response.json()["data"]["error"]) == (400, "invalid_arguments")
    response = await send(as_alice, "GET", START + "?" + "&".join(["a"] * 1500))
    refused(response, 400, "invalid_arguments", a="unknown")


@pytest.mark.parametrize(
    "query", ["role=user", "limit=5", "idempotency_key=12345678", "messages=x", "conversation_id=7"]
)
async def test_a_post_accepts_only_a_user_id_in_the_query(as_alice: Caller, orm: Orm, query: str) -> None:
    url = messages_of(await start(as_alice))
    for path in (START, url):
        refused(
            await send(as_alice, "POST", f"{path}?{query}", json=MESSAGE), 400, "invalid_arguments", query="user_id"
        )
    assert await orm(row_counts) == (1, 0)


async def test_a_body_is_refused_where_it_has_no_meaning(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    for method, url in (("GET", START), ("GET", messages_of(conversation)), ("DELETE", f"{START}/{conversation}")):
        response = await send(as_alice, method, url, json={"user_id": "alice"})
        refused(response, 400, "invalid_arguments", body="use the query")
    assert await orm(row_counts) == (1, 0)


async def test_other_methods_and_paths_are_refused_in_the_envelope(as_alice: Caller) -> None:
    conversation = await start(as_alice)
    for method, url, allowed in (
        ("PUT", START, "POST, GET"),
        ("POST", f"{messages_of(conversation)}/1", "GET, PUT, DELETE"),
        ("DELETE", messages_of(conversation), "POST, GET"),
        ("OPTIONS", START, "POST, GET"),
        ("POST", f"{START}/{conversation}", "GET, PUT, PATCH, DELETE"),
    ):
        response = await send(as_alice, method, url)
        refused(response, 405, "method_not_allowed")
        assert sorted(response.headers["allow"].split(", ")) == sorted(allowed.split(", "))
    for path in ("//", f"/{conversation}//", f"/{conversation}/messages/1/2", f"/{conversation}/nothing", "//messages"):
        refused(await send(as_alice, "GET", START + path), 404, "not_found")
    for path in ("/%00", "/%ff", f"/{conversation}%0a", f"/{conversation};/messages", f"/{conversation}/%6dessages"):
        refused(await send(as_alice, "GET", START + path), 404, "not_found")
    for path in ("", f"/{conversation}", f"/{conversation}/messages"):
        assert (await as_alice.http.get(f"{START}{path}/", headers=as_alice.headers)).status_code == 200
    refused(await as_alice.http.get("/api/nothing"), 404, "not_found")
