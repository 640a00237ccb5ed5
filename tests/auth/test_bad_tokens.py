"""Every bad token is refused with the same message over every transport, before anything else is checked."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from oauth2_provider.models import AccessToken

from tests.support.application import Orm
from tests.support.auth.issuers import AUDIENCE, EC, ISSUER, OTHER_RSA, PEM, claims, issuer, raw, signed
from tests.support.caller import Caller
from tests.support.factories import UserFactory
from tests.support.mcp_messages import HANDSHAKE, MODERN, mcp_headers, tool_request
from todo_mcp.auth.jwt.issuers import parse_issuers
from todo_mcp.auth.tokens import checksum, issue_token, revoke_token
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

CHALLENGE = (
    'Bearer resource_metadata="http://localhost:5000/.well-known/oauth-protected-resource/mcp", '
    'scope="tasks:read tasks:write"'
)
NOW = int(time.time())
HEADER = '{"alg":"RS256","typ":"JWT"}'


def b64(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def cut(token: str, part: int, replacement: str) -> str:
    parts = token.split(".")
    parts[part] = replacement
    return ".".join(parts)


def jws(**changed: Any) -> Callable[[], str]:
    return lambda: signed(claims(**changed))


def headed(**headers: Any) -> Callable[[], str]:
    return lambda: signed(headers=headers)


def twice(name: str, first: Any) -> Callable[[], str]:
    """A token whose payload contains a claim twice; the first value is bad."""
    return lambda: raw(HEADER, f'{{"{name}": {json.dumps(first)}, {json.dumps(claims())[1:]}')


JWTS: dict[str, Callable[[], str]] = {
    "no exp": jws(exp=None),
    "no iat": jws(iat=None),
    "no sub": jws(sub=None),
    "no aud": jws(aud=None),
    "no iss": jws(iss=None),
    "expired": jws(iat=NOW - 700, exp=NOW - 100),
    "expired past the leeway": jws(iat=NOW - 700, exp=NOW - 40),
    "issued in the future": lambda: signed(claims(iat=int(time.time()) + 200, exp=int(time.time()) + 700)),
    "not valid yet": lambda: signed(claims(nbf=int(time.time()) + 200)),
    "lives for ten years": jws(exp=NOW + 315_360_000),
    "lives for an hour and a second": jws(iat=NOW, exp=NOW + 3601),
    "ends before it was issued": jws(iat=NOW + 10, exp=NOW + 5),
    "exp as text": jws(exp=str(NOW + 600)),
    "exp as boolean": jws(exp=True),
    "exp beyond any float": lambda: raw(HEADER, json.dumps(claims())[:-1].replace('"exp"', '"x"') + ', "exp": 1e999}'),
    "iat as text": jws(iat=str(NOW)),
    "other audience": jws(aud="other"),
    "other audiences": jws(aud=["other", "another"]),
    "audience in another case": jws(aud=AUDIENCE.upper()),
    "audience that begins with ours": jws(aud=f"{AUDIENCE}-other"),
    "no audience in the list": jws(aud=[]),
    "other issuer": jws(iss="https://evil.example/"),
    "issuer without its slash": jws(iss=ISSUER.rstrip("/")),
    "issuer in a list": lambda: raw(HEADER, json.dumps(claims(iss=[ISSUER]))),
    "sub empty": jws(sub=""),
    "sub a number": lambda: raw(HEADER, json.dumps(claims(sub=7))),
    "sub with a control character": jws(sub="alice\n"),
    "sub of nobody": jws(sub="nobody"),
    "sub in another case": jws(sub="ALICE"),
    "sub of a deactivated user": jws(sub="gone"),
    "alg none": lambda: f"{b64({'alg': 'none', 'typ': 'JWT'})}.{b64(claims())}.",
    "alg None": lambda: f"{b64({'alg': 'None', 'typ': 'JWT'})}.{b64(claims())}.",
    "alg none with a signature": lambda: cut(signed(), 0, b64({"alg": "none"})),
    "no alg": lambda: cut(signed(), 0, b64({"typ": "JWT"})),
    "alg a number": lambda: cut(signed(), 0, b64({"alg": 256})),
    "another family": lambda: signed(algorithm="PS256"),
    "another kind of key": lambda: signed(key=EC, algorithm="ES256"),
    "another key": lambda: signed(key=OTHER_RSA),
    "signature missing": lambda: cut(signed(), 2, ""),
    "signature of another token": lambda: cut(signed(claims(sub="bob")), 2, signed().split(".")[2]),
    "claims of another token": lambda: cut(signed(), 1, b64(claims(sub="bob"))),
    "header says where the key is": lambda: signed(key=OTHER_RSA, headers={"jku": "http://127.0.0.1:9/keys"}),
    "header brings the key": lambda: signed(key=OTHER_RSA, headers={"jwk": {"kty": "oct", "k": "AAAA"}}),
    "header brings a certificate": lambda: signed(key=OTHER_RSA, headers={"x5u": "http://127.0.0.1:9/", "x5c": ["x"]}),
    "unknown critical extension": headed(crit=["exp"], exp=1),
    "payload not encoded": headed(b64=False, crit=["b64"]),
    "an ID token by its nonce": jws(nonce="x"),
    "an ID token by its hash": jws(at_hash="x"),
    "an ID token by its use": jws(token_use="id"),
    "a logout token": headed(typ="logout+jwt"),
    "a security event": jws(events={}),
    "a proof": headed(typ="dpop+jwt"),
    "bound to a key": jws(cnf={"jkt": "x"}),
    "typ a number": lambda: raw('{"alg":"RS256","typ":7}', json.dumps(claims())),
    "exp twice": twice("exp", NOW - 700),
    "sub twice": twice("sub", "bob"),
    "alg twice": lambda: raw('{"alg":"none","alg":"RS256"}', json.dumps(claims())),
    "delegated for more than five minutes": jws(exp=NOW + 400, iat=NOW, act={"sub": "chat"}),
    "delegated by nobody": jws(exp=NOW + 200, iat=NOW, act={}),
    "delegated by an empty name": jws(exp=NOW + 200, iat=NOW, act={"sub": ""}),
    "delegated by a number": jws(exp=NOW + 200, iat=NOW, act={"sub": 7}),
    "act no object": jws(exp=NOW + 200, iat=NOW, act="chat"),
    "scope a number": jws(scope=7),
    "payload a list": lambda: raw(HEADER, "[]"),
    "payload no JSON": lambda: raw(HEADER, "{"),
    "payload nested too deep": lambda: raw(HEADER, json.dumps(claims())[:-1] + ',"x":' + "[" * 40 + "]" * 40 + "}"),
    "header no JSON": lambda: cut(signed(), 0, b64("{")),
    "header no base64": lambda: cut(signed(), 0, "!!!!"),
    "two parts": lambda: ".".join(signed().split(".")[:2]),
    "four parts": lambda: f"{signed()}.x",
    "five parts, encrypted": lambda: f"{b64({'alg': 'dir', 'enc': 'A256GCM'})}...x.x",
    "three empty parts": lambda: "..",
    "larger than 8 KB": jws(x="x" * 8192),
}


def algorithm_confusion() -> str:
    """The token of an algorithm confusion attack: it is signed with the public key as a shared secret."""
    signing_input = f"{b64({'alg': 'HS256'})}.{b64(claims())}"
    digest = hmac.digest(PEM.encode(), signing_input.encode(), "sha256")
    return f"{signing_input}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


OPAQUE: dict[str, Callable[[], str]] = {
    "unknown": lambda: "todo_" + "x" * 43,
    "only the prefix": lambda: "todo_",
    "a checksum": lambda: checksum(issue_token(user_id="alice")),
    "in another case": lambda: issue_token(user_id="alice").upper(),
    "cut": lambda: issue_token(user_id="alice")[:-1],
    "with more": lambda: issue_token(user_id="alice") + "x",
    "expired": lambda: issue_token(user_id="alice", expires_in=timedelta(seconds=-1)),
    "revoked": lambda: revoked_token(),
    "of a deactivated user": lambda: issue_token(user_id="gone"),
    "for another audience": lambda: bound_to("https://evil.example/mcp"),
    "for an audience that begins with ours": lambda: bound_to("http://localhost:5000/mcp-other"),
    "for our host on another port": lambda: bound_to("http://localhost:5001/mcp"),
    "two tokens": lambda: f"{issue_token(user_id='alice')} {issue_token(user_id='alice')}",
    "two tokens with a comma": lambda: f"{issue_token(user_id='alice')}, Bearer x",
    "quoted": lambda: f'"{issue_token(user_id="alice")}"',
    "a null byte, written": lambda: "todo_%00",
    "very long": lambda: "x" * 9000,
}
HEADERS = ("Bearer", "Bearer ", "Basic YWxpY2U6eA==", "Token x", "bearer\tx", "Digest x", "x", "Bearer=x", "DPoP x")


def revoked_token() -> str:
    token = issue_token(user_id="alice")
    revoke_token(token_id=AccessToken.objects.get(token_checksum=checksum(token)).pk)
    return token


def bound_to(resource: str) -> str:
    token = issue_token(user_id="alice")
    AccessToken.objects.filter(token_checksum=checksum(token)).update(resource=[resource])
    return token


@pytest.fixture(autouse=True)
def one_issuer(settings: Any) -> None:
    settings.JWT_ISSUERS = parse_issuers(json.dumps([issuer()]), list(settings.SCOPES))


@pytest.fixture
def deactivated_user(alice: User) -> User:
    return UserFactory.create(id="gone", is_active=False)


async def assert_refused(http: httpx2.AsyncClient, authorization: str) -> None:
    """Check for 401 with the same message and the same challenge, over HTTP and over MCP."""
    headers = {"Authorization": authorization}
    rest = await http.post("/api/tools/list_tasks", json={"no_such": 1}, headers=headers)
    rpc_headers = {**headers, **mcp_headers(HANDSHAKE[-1], "tools/call")}
    mcp = await http.post("/mcp", json=tool_request(HANDSHAKE[-1], "list_tasks", {}), headers=rpc_headers)
    for response in (rest, mcp):
        assert response.status_code == 401, response.text
        assert response.headers["www-authenticate"] == f'{CHALLENGE}, error="invalid_token"'
    data = {"error_code": 401, "error": "unauthenticated"}
    message = "Send a valid token: Authorization: Bearer <token>."
    assert rest.json() == {"status": "error", "data": data, "message": message}
    assert mcp.json()["error"] == {"code": -32600, "message": message, "data": rest.json()}


@pytest.mark.parametrize("make", [*JWTS.values(), algorithm_confusion], ids=[*JWTS, "public key as a shared secret"])
async def test_a_jwt_that_breaks_a_rule_is_refused(
    http: httpx2.AsyncClient, deactivated_user: User, make: Callable[[], str]
) -> None:
    await assert_refused(http, f"Bearer {make()}")


@pytest.mark.parametrize("make", OPAQUE.values(), ids=OPAQUE)
async def test_a_bad_opaque_token_is_refused(
    http: httpx2.AsyncClient, deactivated_user: User, orm: Orm, make: Callable[[], str]
) -> None:
    await assert_refused(http, f"Bearer {await orm(make)}")


@pytest.mark.parametrize("authorization", HEADERS)
async def test_a_malformed_header_is_refused(http: httpx2.AsyncClient, alice: User, authorization: str) -> None:
    await assert_refused(http, authorization)


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
    assert len(JWTS) + len(OPAQUE) + len(HEADERS) > 60
