"""Any input over any transport gets an answer with a request id, and never an internal error.

HYPOTHESIS_PROFILE=nightly sends a hundred thousand requests.
"""

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.application import Application, Headers, Reply
from tests.support.mcp_messages import MODERN, REVISIONS, as_asgi, mcp_headers, meta_of
from tests.support.tool_calls import TOOLS
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.operations import REGISTRY
from todo_mcp.users.models import User

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
fuzzed = settings(
    max_examples=25_000 if NIGHTLY else 100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

any_text = st.text(st.characters(exclude_categories=()), max_size=50)  # lone surrogates and controls too
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    any_text,
    st.sampled_from([0, 1, -1, 2**63 - 1, 2**63, 10**30, "1", "me", "alice", "all", "", "\x00", "\ud800", 1e308]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4), max_leaves=8
)
names = st.sampled_from(sorted({name for tool in TOOLS for name in REGISTRY[tool].arguments.model_fields})) | any_text
arguments = st.dictionaries(names, values, max_size=6)
methods = st.sampled_from(
    [
        "tools/call",
        "tools/list",
        "initialize",
        "ping",
        "server/discover",
        "notifications/cancelled",
        "subscriptions/listen",
    ]
)
params = st.one_of(
    st.fixed_dictionaries({"name": st.sampled_from(TOOLS) | values, "arguments": arguments | values}),
    st.fixed_dictionaries(
        {"name": st.sampled_from(TOOLS), "arguments": arguments, "_meta": st.just(meta_of()) | values}
    ),
    values,
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | values,
        "id": st.just(1) | values,
        "method": methods | values,
        "params": params,
        "result": values,
        "error": values,
    },
)
revisions = st.sampled_from([*REVISIONS, "2031-01-01", ""])
HEADERS = """accept content-type mcp-method mcp-name mcp-session-id mcp-protocol-version mcp-param-title origin host
authorization content-length x-request-id user-agent idempotency-key cookie last-event-id transfer-encoding expect
content-encoding accept-encoding x-forwarded-for"""
header_names = st.sampled_from(HEADERS.split())
more_headers = st.lists(st.tuples(header_names.map(str.encode), st.binary(max_size=40)), max_size=4)
paths = st.sampled_from(["/mcp", "/mcp/", "/api/tools/", *(f"/api/tools/{tool}" for tool in TOOLS)]) | st.text(
    st.characters(codec="utf-8"), max_size=20
).map(lambda text: f"/api/tools/{text}")


@pytest.fixture
def token(application: Application, alice: User) -> bytes:
    return issue_token(user_id="alice").encode()


def good_headers(token: bytes, revision: str = "", method: str = "", name: str = "") -> Headers:
    """Good headers, with these values about the message. A header with an empty value is left out."""
    headers = mcp_headers(MODERN, method, name) | {"MCP-Protocol-Version": revision}
    present = {name: value for name, value in headers.items() if value}
    return as_asgi({"Host": "localhost:5000", "Authorization": f"Bearer {token.decode()}", **present})


def check(reply: Reply) -> None:
    """Check that the answer is valid and not an internal error."""
    assert reply.status < 500, reply
    assert len(reply.header(b"x-request-id")) >= 8
    if reply.body and dict(reply.headers).get(b"content-type", b"").startswith(b"application/json"):
        answer = reply.json()
        reply.body.decode()
        assert answer.get("error", {}).get("code") != -32603, reply  # JSON-RPC's internal error
        envelope = answer.get("result", answer).get("structuredContent", answer)
        assert envelope.get("data", {}).get("error") != "internal_error", reply


def to_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()  # NaN and Infinity too, which are not JSON


@fuzzed
@given(body=st.binary(max_size=2000), revision=revisions, path=paths)
def test_any_bytes_are_answered(application: Application, token: bytes, body: bytes, revision: str, path: str) -> None:
    check(application.request("POST", path, good_headers(token, revision, "tools/call"), body))


@fuzzed
@given(payload=arguments | values, tool=st.sampled_from(TOOLS))
def test_any_json_is_answered_over_http(application: Application, token: bytes, payload: Any, tool: str) -> None:
    check(application.request("POST", f"/api/tools/{tool}", good_headers(token), to_bytes(payload)))


@fuzzed
@given(message=messages | values, revision=revisions, agreeing=st.booleans())
def test_any_json_is_answered_over_mcp(
    application: Application, token: bytes, message: Any, revision: str, agreeing: bool
) -> None:
    method = message.get("method") if isinstance(message, dict) else None
    inner = message.get("params") if isinstance(message, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    method_and_name = [part if agreeing and isinstance(part, str) else "" for part in (method, name)]
    check(application.request("POST", "/mcp", good_headers(token, revision, *method_and_name), to_bytes(message)))


@fuzzed
@given(
    verb=st.sampled_from(["POST", "GET", "DELETE", "OPTIONS", "HEAD", "BREW"]),
    path=paths,
    more=more_headers,
    chunks=st.lists(st.binary(max_size=50), max_size=4),
    good=st.booleans(),
)
def test_any_headers_are_answered(
    application: Application, token: bytes, verb: str, path: str, more: Headers, chunks: list[bytes], good: bool
) -> None:
    reply = application.request(verb, path, [*(good_headers(token) if good else []), *more], *chunks)
    check(reply)
    assert good or not reply.status < 400
