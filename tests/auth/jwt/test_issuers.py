"""JWTs of configured issuers: for which users they act, what they allow, and which configurations are refused."""

import json
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
        ({"issuer": ""}, "issuer"),
        ({"algorithm": "RS256"}, "algorithm"),
        ({"scopes": ["admin"]}, "admin"),
        ({"unknown_subjects": "maybe"}, "unknown_subjects"),
        ({"leeway": 3600}, "leeway"),
    ],
    ids=str,
)
async def test_a_wrong_configuration_is_refused_without_revealing_a_key(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        parse_issuers(json.dumps([issuer(**changed)]), SCOPES)
    assert words in str(error.value) and SECRET not in str(error.value) and str(error.value).endswith(".")


async def test_a_private_key_or_a_malformed_configuration_is_refused() -> None:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = RSA.private_bytes(encoding, form, serialization.NoEncryption()).decode()
    for text in (json.dumps([issuer(public_key=pem)]), json.dumps([issuer(), issuer()]), "{", "7"):
        with pytest.raises(ImproperlyConfigured):
            parse_issuers(text, SCOPES)
    assert parse_issuers("", SCOPES) == () and ISSUER and AUDIENCE
