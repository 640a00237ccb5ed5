"""JWTs of configured issuers: for which users they act, what they allow, and which configurations are refused."""

import json
import math
import time
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from django.core.exceptions import ImproperlyConfigured

from tasks.models import TaskEvent
from tests.support.application import Orm
from tests.support.auth.issuers import AUDIENCE, ISSUER, RSA, SECRET, Configure, claims, issuer, signed, status
from tests.support.caller import Caller
from tests.support.mcp_messages import MODERN
from todo_mcp.auth.jwt.issuers import parse_issuers
from todo_mcp.users.models import User
from todo_mcp.users.services import set_active

pytestmark = pytest.mark.anyio

SCOPES = ["tasks:read", "tasks:write", "conversations:read", "conversations:write", "tasks:act_as"]


@pytest.mark.parametrize(
    ("config", "key", "algorithm"),
    [
        ({}, RSA, "RS256"),
        ({}, RSA, "RS512"),
        ({"family": "PS"}, RSA, "PS256"),
        ({"family": "HS", "public_key": "", "secret": SECRET}, SECRET, "HS256"),
    ],
)
async def test_a_token_of_an_issuer_acts_for_its_subject(
    http: httpx2.AsyncClient, alice: User, configure: Configure, config: dict[str, Any], key: Any, algorithm: str
) -> None:
    configure(**config)
    caller = Caller(http, signed(key=key, algorithm=algorithm))
    assert (await caller.call(MODERN, "add_task", title="Buy milk"))["status"] == "success"
    assert (await caller.call("http", "list_tasks", user_id="alice"))["data"]["total"] == 1
    assert (await caller.call("http", "list_tasks", user_id="bob"))["data"]["error"] == "forbidden"


async def test_unknown_subjects_become_users_only_if_the_operator_configures_it(
    http: httpx2.AsyncClient, configure: Configure, orm: Orm
) -> None:
    token = signed(claims(sub="new-person"))
    configure()
    assert await status(http, token) == 401
    configure(unknown_subjects="create")
    assert await status(http, token) == 200
    assert not (await orm(lambda: User.objects.get(pk="new-person"))).has_usable_password()
    for impossible in ("me", " x", "x" * 256):
        assert await status(http, signed(claims(sub=impossible))) == 401
    await orm(lambda: set_active(user_id="new-person", active=False))
    assert await status(http, token) == 401


@pytest.mark.parametrize(
    ("scope_claims", "reads", "writes"),
    [
        ({}, 200, 200),
        ({"scope": "tasks:read openid"}, 200, 403),
        ({"scp": ["tasks:write"]}, 403, 200),
        ({"scope": "openid"}, 403, 403),
        ({"scope": ""}, 403, 403),
    ],
    ids=str,
)
async def test_the_scopes_of_a_token_limit_what_it_may_do(
    http: httpx2.AsyncClient, alice: User, configure: Configure, scope_claims: dict[str, Any], reads: int, writes: int
) -> None:
    configure()
    caller = Caller(http, signed(claims(**scope_claims)))
    answers = [await caller.post("list_tasks"), await caller.post("add_task", title="x")]
    assert [answer.status_code for answer in answers] == [reads, writes]


async def test_only_a_configured_client_acts_for_others_and_only_with_its_own_token(
    http: httpx2.AsyncClient, alice: User, bob: User, configure: Configure
) -> None:
    configure(act_as_clients=["chat"])
    client_token = signed(claims(sub="chat", client_id="chat"))
    assert await status(http, client_token, user_id="alice") == 200
    assert await status(http, client_token, user_id="nobody") == 404
    assert await status(http, client_token) == 400
    for claims_of_bob in ({"client_id": "chat"}, {"client_id": "other", "scope": "tasks:read tasks:act_as"}):
        assert await status(http, signed(claims(sub="bob", **claims_of_bob)), user_id="alice") == 403
    assert await status(http, signed(claims(sub="chat", client_id="other")), user_id="alice") == 401


async def test_the_history_names_a_backend_that_acts_by_delegation(
    http: httpx2.AsyncClient, alice: User, configure: Configure, orm: Orm
) -> None:
    configure(family="HS", public_key="", secret=SECRET)
    now = int(time.time())
    token = signed(claims(iat=now, exp=now + 300, act={"sub": "chat-backend"}), SECRET, "HS256")
    assert (await Caller(http, token).post("add_task", title="x")).status_code == 200
    context = await orm(lambda: TaskEvent.objects.get().pgh_context)
    metadata = getattr(context, "metadata", context)
    assert metadata["user"] == "alice" and metadata["token_name"] == "chat-backend"
    assert await status(http, token, user_id="bob") == 403


NO_LIFETIMES: list[Any] = [
    0,
    59,
    -3600,
    2_592_001,
    10**30,
    90.5,
    True,
    None,
    [],
    {},
    "",
    "soon",
    "24",
    "1 h",
    "9" * 5000,
]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"secret": SECRET}, "one of secret"),
        ({"public_key": ""}, "one of secret"),
        ({"public_key": "", "secret": SECRET}, "family HS"),
        ({"family": "HS"}, "family HS"),
        ({"family": "HS", "public_key": "", "secret": "short"}, "shorter than 32 bytes"),
        ({"family": "none"}, "family"),
        ({"public_key": "no PEM"}, "no PEM public key"),
        ({"family": "ES"}, "no PEM public key"),
        ({"public_key": "", "jwks_url": "http://keys.example/x"}, "jwks_url"),
        ({"public_key": "", "jwks_url": "file:///etc/passwd"}, "jwks_url"),
        ({"audience": ""}, "audience"),
        ({"audience": "", "id_jag_clients": []}, "audience"),
        ({"id_jag_tenant": "acme"}, "id_jag_tenant"),
        ({"id_jag_clients": "*"}, "id_jag_clients"),
        ({"id_jag_clients": [1]}, "id_jag_clients"),
        ({"issuer": ""}, "issuer"),
        ({"algorithm": "RS256"}, "algorithm"),
        ({"scopes": ["admin"]}, "admin"),
        ({"unknown_subjects": "maybe"}, "unknown_subjects"),
        ({"leeway": 3600}, "leeway"),
        *[({"max_lifetime": value}, f"max_lifetime of issuer '{ISSUER}' must be") for value in NO_LIFETIMES],
        *[({"max_lifetime": value}, 'such as "24h"') for value in (24, "24H", "5w", "59s", math.inf, math.nan)],
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_wrong_configuration_is_refused_without_revealing_a_key(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        parse_issuers(json.dumps([issuer(**changed)]), SCOPES)
    assert words in str(error.value) and SECRET not in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("configured", "seconds"),
    [
        ({}, 3600),
        ({"max_lifetime": 60}, 60),
        ({"max_lifetime": 5400}, 5400),
        ({"max_lifetime": 5400.0}, 5400),
        ({"max_lifetime": "90m"}, 5400),
        ({"max_lifetime": "24h"}, 86_400),
        ({"max_lifetime": "30d"}, 2_592_000),
    ],
    ids=str,
)
async def test_a_token_lives_as_long_as_its_issuer_may_let_it_and_no_second_longer(
    http: httpx2.AsyncClient, alice: User, configure: Configure, configured: dict[str, Any], seconds: int
) -> None:
    configure(**configured)
    now = int(time.time())
    assert await status(http, signed(claims(iat=now, exp=now + seconds))) == 200
    assert await status(http, signed(claims(iat=now, exp=now + seconds + 1))) == 401
    assert await status(http, signed(claims(iat=now - seconds - 100, exp=now - 40))) == 401


async def test_a_delegated_token_lives_five_minutes_at_most_whatever_its_issuer_may_do(
    http: httpx2.AsyncClient, alice: User, configure: Configure
) -> None:
    now = int(time.time())
    for max_lifetime, seconds in (("30d", 300), (60, 60)):
        configure(max_lifetime=max_lifetime)
        for lifetime, expected in ((seconds, 200), (seconds + 1, 401)):
            token = signed(claims(iat=now, exp=now + lifetime, act={"sub": "chat"}))
            assert await status(http, token) == expected


async def test_each_issuer_has_its_own_longest_lifetime(http: httpx2.AsyncClient, alice: User, settings: Any) -> None:
    other = {"issuer": "https://other.example/", "max_lifetime": "24h"}
    settings.JWT_ISSUERS = parse_issuers(json.dumps([issuer(), issuer(**other)]), SCOPES)
    now = int(time.time())
    for name, expected in ((ISSUER, 401), (other["issuer"], 200)):
        assert await status(http, signed(claims(iss=name, iat=now, exp=now + 86_400))) == expected


async def test_a_private_key_or_a_malformed_configuration_is_refused() -> None:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = RSA.private_bytes(encoding, form, serialization.NoEncryption()).decode()
    for text in (json.dumps([issuer(public_key=pem)]), json.dumps([issuer(), issuer()]), "{", "7"):
        with pytest.raises(ImproperlyConfigured):
            parse_issuers(text, SCOPES)
    assert parse_issuers("", SCOPES) == () and ISSUER and AUDIENCE
