"""Every rule of an identity assertion (ID-JAG): what breaks it gets invalid_grant, no token, and leaves no row."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from oauth2_provider.models import AccessToken

from tests.support.application import Orm
from tests.support.auth.bad_tokens import HEADER, cut
from tests.support.auth.fixtures import RefusalLines
from tests.support.auth.id_jags import SERVER, TYP, CompanyClient, company_client
from tests.support.auth.issuers import (
    EC,
    ISSUER,
    OTHER_RSA,
    SECRET,
    Configure,
    KeyServer,
    jwk,
    key_server,
    raw,
    signed,
)
from tests.support.auth.oauth_client import RESOURCE
from todo_mcp.auth.jwt import key_set
from todo_mcp.auth.models import UsedAssertion
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

Make = Callable[[CompanyClient], str]


def with_claims(**changes: Any) -> Make:
    return lambda client: client.id_jag(**changes)


def lasting(start: int, end: int, **changes: Any) -> Make:
    """An assertion with ``iat`` and ``exp`` so many seconds from now."""
    return lambda client: client.id_jag(iat=int(time.time()) + start, exp=int(time.time()) + end, **changes)


def headed(**headers: Any) -> Make:
    return lambda client: signed(client.claims(), headers={"typ": TYP, **headers})


def twice(name: str, first: Any) -> Make:
    """An assertion whose payload contains a claim twice; the first value is bad."""
    header = HEADER.replace('"JWT"', f'"{TYP}"')
    return lambda client: raw(header, f'{{"{name}": {json.dumps(first)}, {json.dumps(client.claims())[1:]}')


BAD: dict[str, dict[str, Make]] = {
    "jwt_malformed": {
        "no JWT": lambda client: "todo_opaque",
        "two parts": lambda client: client.id_jag().rpartition(".")[0],
        "encrypted": lambda client: client.id_jag() + ".a.b",
        "not ASCII": lambda client: client.id_jag() + "é",
        "over 8 KB": with_claims(padding="x" * 8192),
        "sub twice": twice("sub", "bob"),
        "jti twice": twice("jti", "1"),
        "client_id twice": twice("client_id", "other"),
        "payload no object": lambda client: raw(f'{{"alg":"RS256","typ":"{TYP}"}}', "[]"),
    },
    "jwt_type": {
        "an access token": lambda client: client.id_jag(typ="at+jwt"),
        "any JWT": lambda client: client.id_jag(typ="JWT"),
        "no type": lambda client: client.id_jag(typ=None),
        "an ID token's own": lambda client: client.id_jag(typ="id+jwt"),
        "almost": lambda client: client.id_jag(typ="oauth-id-jag"),
        "a number": lambda client: client.id_jag(typ=1),
    },
    "jwt_algorithm": {
        "none": lambda client: signed(client.claims(), "", "none", {"typ": TYP}),
        "another family": lambda client: signed(client.claims(), EC, "ES256", {"typ": TYP}),
        "a shared secret": lambda client: signed(client.claims(), SECRET, "HS256", {"typ": TYP}),
        "RSA-PSS": lambda client: client.id_jag(algorithm="PS256"),
    },
    "jwt_extension": {"critical": headed(crit=["exp"], exp=1)},
    "jwt_signature": {
        "another key": lambda client: client.id_jag(key=OTHER_RSA),
        "none": lambda client: cut(client.id_jag(), 2, ""),
        "of another assertion": lambda client: cut(client.id_jag(), 2, client.id_jag(sub="bob").rpartition(".")[2]),
        "key in the header": lambda client: signed(client.claims(), OTHER_RSA, "RS256", {"typ": TYP, "jwk": jwk(EC)}),
    },
    "jwt_issuer": {
        "unknown": with_claims(iss="https://evil.example/"),
        "another spelling": with_claims(iss=ISSUER.rstrip("/")),
        "none": with_claims(iss=None),
        "us": with_claims(iss=SERVER),
    },
    "jwt_audience": {
        "the MCP endpoint": with_claims(aud=RESOURCE),
        "the token endpoint": with_claims(aud=f"{SERVER}/oauth/token"),
        "another server": with_claims(aud="https://other.example"),
        "a slash more": with_claims(aud=f"{SERVER}/"),
        "the audience of access tokens": with_claims(aud="todo"),
        "the client": lambda client: client.id_jag(aud=client.client_id),
        "two": with_claims(aud=[SERVER, "https://other.example"]),
        "ours twice": with_claims(aud=[SERVER, SERVER]),
    },
    "jwt_client": {
        "another": with_claims(client_id="other"),
        "none": with_claims(client_id=None),
        "only azp": lambda client: client.id_jag(client_id=None, azp=client.client_id),
        "a list": lambda client: client.id_jag(client_id=[client.client_id]),
    },
    "jwt_resource": {
        "another server": with_claims(resource="https://other.example/mcp"),
        "ours and another": with_claims(resource=[RESOURCE, "https://other.example/mcp"]),
        "an empty list": with_claims(resource=[]),
        "empty": with_claims(resource=""),
        "a number": with_claims(resource=1),
        "null": lambda client: raw(
            f'{{"alg":"RS256","typ":"{TYP}"}}', json.dumps({**client.claims(), "resource": None})
        ),
    },
    "jwt_expired": {"a minute ago": lasting(-120, -60), "beyond the leeway": lasting(-300, -31)},
    "jwt_not_yet_valid": {
        "issued in a minute": lasting(60, 120),
        "nbf in a minute": lambda client: client.id_jag(nbf=int(time.time()) + 60),
    },
    "jwt_lifetime": {
        "over an hour": lasting(0, 3601),
        "ten years": lasting(0, 10 * 365 * 86400),
        "no time": lambda client: client.id_jag(iat=int(time.time()) + 20, exp=int(time.time()) + 20),
    },
    "jwt_claims": {
        "no exp": with_claims(exp=None),
        "no iat": with_claims(iat=None),
        "no jti": with_claims(jti=None),
        "empty jti": with_claims(jti=""),
        "jti a number": with_claims(jti=1),
        "no sub": with_claims(sub=None),
        "empty sub": with_claims(sub=""),
        "sub a number": with_claims(sub=1),
        "sub with a control character": with_claims(sub="alice\n"),
        "no aud": with_claims(aud=None),
        "empty aud": with_claims(aud=[]),
        "exp a text": with_claims(exp="4102444800"),
        "iat true": with_claims(iat=True),
        "bound to a key": with_claims(cnf={"jkt": "x"}),
        "finer rights than scopes": with_claims(authorization_details=[{"type": "tasks"}]),
        "of a tenant": with_claims(tenant="acme"),
        "scope a number": with_claims(scope=1),
    },
    "jwt_scope": {"none of ours": with_claims(scope="openid profile"), "empty": with_claims(scope="")},
    "user_unknown": {"nobody": with_claims(sub="nobody"), "another case": with_claims(sub="Alice")},
}
CASES = [pytest.param(rule, make, id=f"{rule}-{name}") for rule, kinds in BAD.items() for name, make in kinds.items()]


@pytest.fixture
async def assistant(http: httpx2.AsyncClient, configure: Configure) -> CompanyClient:
    configure(id_jag_clients=["*"], max_lifetime="24h")
    return await company_client(http)


@pytest.mark.parametrize(("rule", "make"), CASES)
async def test_a_broken_rule_is_named_in_the_refusal_and_the_log_and_stores_nothing(
    assistant: CompanyClient, alice: User, bob: User, orm: Orm, refusal_lines: RefusalLines, rule: str, make: Make
) -> None:
    refusal = await assistant.exchange(make(assistant))
    assert refusal.status_code == 400 and refusal.headers["cache-control"] == "no-store"
    body = refusal.json()
    assert set(body) == {"error", "error_description"} and body["error"] == "invalid_grant"
    assert f"the rule {rule}." in body["error_description"]
    (line,) = refusal_lines()
    assert line["rule"] == rule
    assert not await orm(AccessToken.objects.exists) and not await orm(UsedAssertion.objects.exists)


@pytest.mark.parametrize(
    "make",
    [
        with_claims(),
        with_claims(aud=[SERVER]),
        with_claims(resource=None),
        with_claims(resource=[RESOURCE]),
        with_claims(resource=SERVER),
        lambda client: client.id_jag(typ=f"application/{TYP}"),
        lambda client: client.id_jag(typ=TYP.upper()),
        lambda client: client.id_jag(algorithm="RS512"),
        lasting(0, 3600),
        lasting(-300, -20),  # clocks may differ by 30 s
        lasting(20, 300),
        lambda client: client.id_jag(nbf=int(time.time()) + 20),
        # Claims of ID tokens, as the draft allows.
        with_claims(email="alice@example.com", nonce="n", at_hash="h", auth_time=1, amr=["mfa"], acr="1"),
        with_claims(act={"sub": "agent"}, aud_sub="42", aud_tenant="ours"),
    ],
)
async def test_what_the_specification_allows_is_accepted(assistant: CompanyClient, alice: User, make: Make) -> None:
    response = await assistant.exchange(make(assistant))
    assert response.status_code == 200, response.text


async def test_the_lifetime_is_at_most_the_issuers(assistant: CompanyClient, alice: User, configure: Configure) -> None:
    configure(id_jag_clients=["*"], max_lifetime=300)
    assert (await assistant.exchange(lasting(0, 300)(assistant))).status_code == 200
    assert (await assistant.exchange(lasting(0, 301)(assistant))).status_code == 400


async def test_an_issuer_for_several_tenants_speaks_only_for_the_configured_one(
    assistant: CompanyClient, alice: User, configure: Configure
) -> None:
    configure(id_jag_clients=["*"], id_jag_tenant="acme")
    answers = [await assistant.exchange(assistant.id_jag(tenant=tenant)) for tenant in ("acme", "evil", None, ["acme"])]
    assert [answer.status_code for answer in answers] == [200, 400, 400, 400]


async def test_an_issuer_that_is_not_configured_for_assertions_is_refused(
    assistant: CompanyClient, alice: User, configure: Configure, settings: Any
) -> None:
    configure(id_jag_clients=["*"], issuer="https://other.example/")
    others = settings.JWT_ISSUERS
    configure()
    settings.JWT_ISSUERS = (*settings.JWT_ISSUERS, *others)
    refusal = await assistant.exchange()
    assert refusal.status_code == 400 and "the rule jwt_issuer." in refusal.json()["error_description"]


async def test_two_issuers_may_use_the_same_jti(
    assistant: CompanyClient, alice: User, configure: Configure, settings: Any
) -> None:
    configure(id_jag_clients=["*"], issuer="https://other.example/")
    others = settings.JWT_ISSUERS
    configure(id_jag_clients=["*"])
    settings.JWT_ISSUERS = (*settings.JWT_ISSUERS, *others)
    for issuer in (ISSUER, "https://other.example/"):
        answers = [await assistant.exchange(assistant.id_jag(iss=issuer, jti="1", extra=extra)) for extra in (1, 2)]
        assert [answer.status_code for answer in answers] == [200, 400]


async def test_keys_of_the_provider_rotate_and_may_be_unavailable(
    assistant: CompanyClient, alice: User, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    with key_server() as issuer_keys:
        await _check_key_server(assistant, configure, issuer_keys, monkeypatch)


async def _check_key_server(
    assistant: CompanyClient, configure: Configure, issuer_keys: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(id_jag_clients=["*"], public_key="", jwks_url=issuer_keys.url)
    issuer_keys.status = 500

    def of(kid: str, key: Any = None) -> str:
        headers = {"typ": TYP, "kid": kid}
        return signed(assistant.claims(), key, headers=headers) if key else signed(assistant.claims(), headers=headers)

    assertion = of("1")
    down = await assistant.exchange(assertion)
    assert down.status_code == 503 and down.json()["error"] == "temporarily_unavailable"
    assert down.headers["retry-after"] == "5" and down.json()["error_description"].endswith("later.")
    monkeypatch.setattr(key_set, "PAUSE", 0.0)
    issuer_keys.status, issuer_keys.keys = 200, [jwk(kid="1")]
    assert (await assistant.exchange(assertion)).status_code == 200  # the failed attempt did not use it up
    unknown = await assistant.exchange(of("2", OTHER_RSA))
    assert "the rule jwt_key." in unknown.json()["error_description"]
    issuer_keys.keys = [jwk(OTHER_RSA, kid="2")]
    assert (await assistant.exchange(of("2", OTHER_RSA))).status_code == 200
    gone = await assistant.exchange(of("1"))
    assert gone.status_code == 400
