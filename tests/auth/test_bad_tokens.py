"""Every bad token is refused with the same message over every transport, before anything else is checked."""

import json
from typing import Any

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.auth.bad_tokens import HEADERS, JWTS, OPAQUE, Make
from tests.support.auth.fixtures import RefusalLines
from tests.support.auth.issuers import AUDIENCE, claims, issuer, signed, status
from tests.support.caller import Caller
from tests.support.factories import UserFactory
from tests.support.mcp_messages import HANDSHAKE, MODERN, mcp_headers, tool_request
from todo_mcp.auth.jwt.issuers import parse_issuers
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

CHALLENGE = (
    'Bearer resource_metadata="http://localhost:5000/.well-known/oauth-protected-resource/mcp", '
    'scope="tasks:read tasks:write"'
)


@pytest.fixture(autouse=True)
def one_issuer(settings: Any) -> None:
    settings.JWT_ISSUERS = parse_issuers(json.dumps([issuer()]), list(settings.SCOPES))


@pytest.fixture
def deactivated_user(alice: User) -> User:
    return UserFactory.create(id="gone", is_active=False)


async def assert_refused(http: httpx2.AsyncClient, authorization: str, rule: str, log: RefusalLines) -> None:
    """Check for 401 with the same message and the same challenge everywhere. Only the log names the rule."""
    headers = {"Authorization": authorization}
    tool = await http.post("/api/tools/list_tasks", json={"no_such": 1}, headers=headers)
    rest = await http.get("/api/conversations?no_such=1", headers=headers)
    mcp = [
        await http.post(
            "/mcp",
            json=tool_request(revision, "list_tasks", {}),
            headers={**headers, **mcp_headers(revision, "tools/call", "list_tasks")},
        )
        for revision in (HANDSHAKE[-1], MODERN)
    ]
    responses = [tool, rest, *mcp]
    for response in responses:
        assert response.status_code == 401, response.text
        assert response.headers["www-authenticate"] == f'{CHALLENGE}, error="invalid_token"'
    data = {"error_code": 401, "error": "unauthenticated"}
    message = "Send a valid token: Authorization: Bearer <token>."
    assert tool.json() == rest.json() == {"status": "error", "data": data, "message": message}
    for response in mcp:
        assert response.json()["error"] == {"code": -32600, "message": message, "data": tool.json()}
    assert [line["rule"] for line in log()] == [rule] * len(responses)
    assert [line["request_id"] for line in log()] == [response.headers["x-request-id"] for response in responses]


def cases(tokens: dict[str, dict[str, Make]]) -> list[Any]:
    return [pytest.param(rule, make, id=name) for rule, makes in tokens.items() for name, make in makes.items()]


@pytest.mark.parametrize(("rule", "make"), cases(JWTS))
async def test_a_jwt_that_breaks_a_rule_is_refused_and_only_the_log_names_the_rule(
    http: httpx2.AsyncClient, deactivated_user: User, rule: str, make: Make, refusal_lines: RefusalLines
) -> None:
    await assert_refused(http, f"Bearer {make()}", rule, refusal_lines)


@pytest.mark.parametrize(("rule", "make"), cases(OPAQUE))
async def test_a_bad_opaque_token_is_refused_and_only_the_log_names_the_rule(
    http: httpx2.AsyncClient, deactivated_user: User, orm: Orm, rule: str, make: Make, refusal_lines: RefusalLines
) -> None:
    await assert_refused(http, f"Bearer {await orm(make)}", rule, refusal_lines)


@pytest.mark.parametrize("authorization", HEADERS)
async def test_a_malformed_header_is_refused(
    http: httpx2.AsyncClient, alice: User, authorization: str, refusal_lines: RefusalLines
) -> None:
    await assert_refused(http, authorization, "header", refusal_lines)


async def test_a_missing_token_gets_another_challenge_than_a_bad_one(http: httpx2.AsyncClient) -> None:
    for path in ("/mcp", "/api/tools/list_tasks", "/api/conversations"):
        response = await http.post(path, json={})
        assert response.status_code == 401 and response.headers["www-authenticate"] == CHALLENGE


async def test_a_token_is_accepted_only_in_the_header(http: httpx2.AsyncClient, alice: User) -> None:
    token = signed()
    for request in ({"params": {"access_token": token}}, {"data": {"access_token": token}}, {"json": {"token": token}}):
        response = await http.post("/api/tools/list_tasks", **request)  # type: ignore[arg-type]
        assert response.status_code == 401 and response.headers["www-authenticate"] == CHALLENGE


async def test_two_authorization_headers_are_refused(http: httpx2.AsyncClient, alice: User) -> None:
    pair = [("Authorization", f"Bearer {signed()}"), ("Authorization", "Bearer x")]
    for path in ("/mcp", "/api/tools/list_tasks"):
        assert (await http.post(path, json={}, headers=pair)).status_code == 400


async def test_a_good_jwt_works_over_http_and_mcp(http: httpx2.AsyncClient, alice: User) -> None:
    caller = Caller(http, signed())
    assert (await caller.call("http", "add_task", title="x"))["status"] == "success"
    assert (await caller.call(MODERN, "list_tasks"))["data"]["total"] == 1


def test_there_are_more_than_sixty_bad_tokens() -> None:
    assert len(cases(JWTS)) + len(cases(OPAQUE)) + len(HEADERS) > 60


@pytest.mark.parametrize(
    ("header", "changed"),
    [
        ({"typ": "at+jwt"}, {}),
        ({"typ": "at+jwt"}, {"nonce": "x"}),
        ({"typ": "AT+JWT"}, {"nonce": "x", "aud": ["userinfo", AUDIENCE]}),
        ({"typ": "application/at+jwt"}, {"nonce": "x"}),
        ({"typ": "Application/At+Jwt"}, {"nonce": "x"}),
        ({"typ": "at+jwt"}, {"nonce": "x", "token_type": "Bearer"}),
        ({"typ": "jwt"}, {}),
        ({"typ": "application/JWT"}, {}),
        ({"typ": None}, {}),
        ({"nonce": "x"}, {}),
        ({}, {"nonce": "x", "typ": "Bearer"}),
        ({}, {"typ": "Bearer"}),
        ({}, {"token_use": "access"}),
        ({}, {"token_type": "access"}),
        ({}, {"type": "app"}),
    ],
    ids=str,
)
async def test_an_access_token_is_accepted_as_providers_issue_it(
    http: httpx2.AsyncClient, alice: User, header: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert await status(http, signed(claims(**changed), headers=header)) == 200
