"""Company sign-on: a client exchanges an identity assertion of the provider for a token of that person."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.core.management import call_command
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, RefreshToken

from tasks.models import TaskEvent
from tests.support.application import Orm
from tests.support.auth.id_jags import JWT_BEARER, CompanyClient, company_client
from tests.support.auth.issuers import Configure, claims, signed, status
from tests.support.auth.oauth_client import BASIC, RESOURCE, Browser, OAuthClient, at_once, register
from tests.support.caller import Caller
from tests.support.mcp_messages import MODERN
from todo_mcp.auth.models import UsedAssertion
from todo_mcp.auth.oauth import assertion_grant
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import revoke_all
from todo_mcp.operators.user_data import delete_user
from todo_mcp.users.models import User
from todo_mcp.users.services import set_active

pytestmark = pytest.mark.anyio

METADATA = "/.well-known/oauth-authorization-server"
ANY: dict[str, Any] = {"id_jag_clients": ["*"]}


@pytest.fixture
async def assistant(http: httpx2.AsyncClient, configure: Configure) -> CompanyClient:
    """A client with a secret. A provider is configured for identity assertions."""
    configure(**ANY)
    return await company_client(http)


async def test_an_assertion_becomes_a_short_token_of_the_person_without_a_refresh_token(
    assistant: CompanyClient, http: httpx2.AsyncClient, alice: User, orm: Orm
) -> None:
    response = await assistant.exchange()
    answer = response.json()
    assert response.status_code == 200 and response.headers["cache-control"] == "no-store"
    assert answer.pop("access_token").startswith("todo_")
    assert answer == {"token_type": "Bearer", "expires_in": 900, "scope": BASIC, "resource": RESOURCE}
    assert not await orm(RefreshToken.objects.exists)
    record = await orm(lambda: AccessToken.objects.get(user_id="alice"))
    assert record.resource == [RESOURCE] and record.expires < timezone.now() + timedelta(minutes=16)


async def test_the_token_acts_for_the_person_alone_and_the_history_names_the_client(
    assistant: CompanyClient, http: httpx2.AsyncClient, alice: User, bob: User, orm: Orm
) -> None:
    caller = Caller(http, await assistant.token())
    assert (await caller.call(MODERN, "add_task", title="Buy milk"))["status"] == "success"
    assert (await caller.call("http", "list_tasks", user_id="bob"))["data"]["error"] == "forbidden"
    context = await orm(lambda: TaskEvent.objects.get().pgh_context)
    metadata = getattr(context, "metadata", context)
    assert metadata["user"] == "alice" and metadata["token_name"] == "Assistant"


async def test_a_person_loses_access_when_the_token_ends(
    assistant: CompanyClient, http: httpx2.AsyncClient, alice: User, orm: Orm
) -> None:
    token = await assistant.token()
    assert await status(http, token) == 200
    await orm(lambda: AccessToken.objects.filter(user_id="alice").update(expires=timezone.now()))
    assert await status(http, token) == 401


async def test_unknown_people_are_created_or_refused_as_the_provider_is_configured(
    assistant: CompanyClient, http: httpx2.AsyncClient, configure: Configure, orm: Orm
) -> None:
    refusal = await assistant.exchange(assistant.id_jag(sub="new-person"))
    assert refusal.status_code == 400 and refusal.json()["error"] == "invalid_grant"
    assert not await orm(lambda: User.objects.filter(pk="new-person").exists())
    configure(**ANY, unknown_subjects="create")
    for _ in range(2):
        assert await status(http, await assistant.token(sub="new-person", zoneinfo="Europe/Berlin")) == 200
    person = await orm(lambda: User.objects.get(pk="new-person"))
    assert not person.has_usable_password() and person.time_zone == "Europe/Berlin"
    for impossible in ("me", " x", "x" * 256):
        refusal = await assistant.exchange(assistant.id_jag(sub=impossible))
        assert refusal.json()["error"] == "invalid_grant"


async def test_a_refused_request_creates_nobody(assistant: CompanyClient, configure: Configure, orm: Orm) -> None:
    configure(**ANY, unknown_subjects="create")
    person = User.objects.filter(pk="new-person")
    refusal = await assistant.exchange(assistant.id_jag(sub="new-person", scope="tasks:read"), scope="tasks:write")
    assert refusal.json()["error"] == "invalid_scope" and not await orm(person.exists)
    assertion = assistant.id_jag(sub="new-person")
    assert (await assistant.exchange(assertion)).status_code == 200
    await orm(lambda: delete_user(user_id="new-person"))
    replay = await assistant.exchange(assertion)
    assert "jwt_replayed" in replay.json()["error_description"] and not await orm(person.exists)


async def test_a_person_who_is_erased_during_the_exchange_gets_no_token(
    assistant: CompanyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assertion_grant, "admit", lambda *arguments: None)  # as if it had found or created the person
    refusal = await assistant.exchange(assistant.id_jag(sub="erased"))
    assert refusal.status_code == 400 and "user_unknown" in refusal.json()["error_description"]


async def test_a_deactivated_person_gets_no_token_and_a_token_in_use_stops(
    assistant: CompanyClient, http: httpx2.AsyncClient, alice: User, orm: Orm
) -> None:
    token = await assistant.token()
    await orm(lambda: set_active(user_id="alice", active=False))
    assert await status(http, token) == 401
    refusal = await assistant.exchange()
    assert refusal.status_code == 400 and "user_deactivated" in refusal.json()["error_description"]


@pytest.mark.parametrize(
    ("of_assertion", "requested", "granted"),
    [
        ("tasks:read tasks:write", None, "tasks:read tasks:write"),
        ("tasks:read tasks:write", "", "tasks:read tasks:write"),
        ("tasks:read", "tasks:read tasks:write", "tasks:read"),
        ("tasks:read tasks:write", "tasks:write offline_access", "tasks:write"),
        ("tasks:read openid tasks:act_as", "tasks:read tasks:act_as", "tasks:read"),
        (None, None, "tasks:read tasks:write conversations:read conversations:write"),
        (None, "conversations:read", "conversations:read"),
    ],
)
async def test_granted_are_the_scopes_that_both_the_assertion_and_the_request_name(
    assistant: CompanyClient, alice: User, of_assertion: str | None, requested: str | None, granted: str
) -> None:
    form = {} if requested is None else {"scope": requested}
    response = await assistant.exchange(assistant.id_jag(scope=of_assertion), **form)
    assert response.json()["scope"] == granted


@pytest.mark.parametrize(
    ("of_assertion", "requested", "error"),
    [
        ("tasks:read", "tasks:write", "invalid_scope"),
        ("tasks:read", "openid", "invalid_scope"),
        ("openid", None, "invalid_grant"),
        ("", None, "invalid_grant"),
        ("tasks:act_as", "tasks:act_as", "invalid_grant"),
    ],
)
async def test_without_a_common_scope_there_is_no_token(
    assistant: CompanyClient, alice: User, orm: Orm, of_assertion: str, requested: str | None, error: str
) -> None:
    form = {} if requested is None else {"scope": requested}
    response = await assistant.exchange(assistant.id_jag(scope=of_assertion), **form)
    assert response.status_code == 400 and response.json()["error"] == error
    assert not await orm(UsedAssertion.objects.exists)


async def test_an_assertion_works_once_even_at_the_same_time_and_after_a_revocation(
    assistant: CompanyClient, alice: User, orm: Orm
) -> None:
    assertion = assistant.id_jag()
    answers = await at_once(lambda: assistant.exchange(assertion), 8)
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert await orm(AccessToken.objects.count) == 1
    assert await orm(lambda: revoke_all(user_id="alice", cause=Cause(By.COMMAND))) == 1
    replay = await assistant.exchange(assertion)
    assert replay.json()["error"] == "invalid_grant" and "jwt_replayed" in replay.json()["error_description"]


async def test_the_purge_keeps_a_used_assertion_until_it_and_its_token_have_ended(
    assistant: CompanyClient, alice: User, orm: Orm
) -> None:
    assertion = assistant.id_jag()
    assert (await assistant.exchange(assertion)).status_code == 200
    await orm(lambda: call_command("purge"))
    used = await orm(UsedAssertion.objects.get)
    assert used.kept_until == (await orm(lambda: AccessToken.objects.get(assertion=used))).expires
    long = await assistant.exchange(assistant.id_jag(exp=int(timezone.now().timestamp()) + 3000))
    assert long.status_code == 200
    last = await orm(lambda: UsedAssertion.objects.latest("kept_until"))
    assert last.kept_until > timezone.now() + timedelta(seconds=3000)
    await orm(lambda: UsedAssertion.objects.filter(pk=used.pk).update(kept_until=timezone.now()))
    await orm(lambda: call_command("purge"))
    assert await orm(UsedAssertion.objects.get) == last


async def test_a_client_that_is_used_stays_though_its_tokens_are_purged(
    assistant: CompanyClient, alice: User, orm: Orm
) -> None:
    application = Application.objects.filter(client_id=assistant.client_id)
    await orm(lambda: application.update(updated=timezone.now() - timedelta(days=60)))
    assert (await assistant.exchange()).status_code == 200
    await orm(lambda: AccessToken.objects.all().delete())
    await orm(lambda: call_command("purge"))
    assert await orm(application.exists)


@pytest.mark.parametrize("method", ["none", "client_secret_post"])
async def test_a_client_needs_a_secret_or_must_be_named(
    http: httpx2.AsyncClient, configure: Configure, alice: User, method: str
) -> None:
    configure(**ANY)
    client = await company_client(http, token_endpoint_auth_method=method)
    for clients, accepted in ((["*"], method != "none"), ([client.client_id], True), (["other"], False)):
        configure(id_jag_clients=clients)
        response = await client.exchange()
        assert response.status_code == (200 if accepted else 400), clients
        if not accepted:
            assert response.json()["error"] == "invalid_grant" and "jwt_client" in response.json()["error_description"]


async def test_a_client_with_a_secret_must_authenticate(
    assistant: CompanyClient, http: httpx2.AsyncClient, alice: User
) -> None:
    for secret in ("", "wrong"):
        refusal = await CompanyClient(http, assistant.client_id, secret).exchange()
        assert refusal.status_code == 401 and refusal.json()["error"] == "invalid_client"
    refusal = await CompanyClient(http, "unknown", "").exchange()
    assert refusal.status_code == 401 and refusal.json()["error"] == "invalid_client"
    form = {"grant_type": JWT_BEARER, "assertion": assistant.id_jag()}
    response = await http.post("/oauth/token", data=form, auth=(assistant.client_id, assistant.secret))
    assert response.status_code == 200


async def test_the_resource_of_the_request_must_be_ours(assistant: CompanyClient, alice: User) -> None:
    assertion = assistant.id_jag()
    refusal = await assistant.exchange(assertion, resource="https://other.example/mcp")
    assert refusal.status_code == 400 and refusal.json()["error"] == "invalid_target"
    assert (await assistant.exchange(assertion, resource=RESOURCE)).status_code == 200


async def test_the_assertion_is_sent_in_the_body_and_once(assistant: CompanyClient, http: httpx2.AsyncClient) -> None:
    missing = await assistant.exchange("")
    assert missing.json()["error"] == "invalid_request" and "assertion" in missing.json()["error_description"]
    form = {"grant_type": JWT_BEARER, "client_id": assistant.client_id, "client_secret": assistant.secret}
    in_address = await http.post("/oauth/token", params={"assertion": assistant.id_jag()}, data=form)
    assert in_address.status_code == 400 and in_address.json()["error"] == "invalid_request"
    twice = await http.post("/oauth/token", data={**form, "assertion": [assistant.id_jag(), assistant.id_jag()]})
    assert twice.json()["error"] == "invalid_request" and "repeated" in twice.json()["error_description"]


async def test_an_assertion_is_no_access_token_and_an_access_token_no_assertion(
    assistant: CompanyClient, http: httpx2.AsyncClient, configure: Configure, alice: User
) -> None:
    configure(**ANY, audience="http://localhost:5000")
    assert await status(http, assistant.id_jag()) == 401
    access_token = signed(claims(aud="http://localhost:5000", client_id=assistant.client_id, jti="1"))
    assert await status(http, access_token) == 200
    assert (await assistant.exchange(access_token)).json()["error"] == "invalid_grant"


async def test_a_provider_without_an_audience_issues_assertions_alone(
    assistant: CompanyClient, http: httpx2.AsyncClient, configure: Configure, alice: User
) -> None:
    configure(**ANY, audience="")
    assert (await assistant.exchange()).status_code == 200
    for audience in ("", "todo", ["", "todo"], None):
        assert await status(http, signed(claims(aud=audience))) == 401


async def test_the_grant_is_listed_and_accepted_only_if_a_provider_is_configured_for_it(
    app: OAuthClient, http: httpx2.AsyncClient, configure: Configure, alice: User
) -> None:
    configure()
    metadata = (await http.get(METADATA)).json()
    assert metadata["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert "authorization_grant_profiles_supported" not in metadata
    refusal = await CompanyClient(http, app.client_id, "").exchange()
    assert refusal.status_code == 400 and refusal.json()["error"] == "unsupported_grant_type"
    configure(**ANY)
    metadata = (await http.get(METADATA)).json()
    assert metadata["grant_types_supported"] == ["authorization_code", "refresh_token", JWT_BEARER]
    assert metadata["authorization_grant_profiles_supported"] == ["urn:ietf:params:oauth:grant-profile:id-jag"]


@pytest.mark.parametrize(
    ("asked", "without_provider", "with_provider"),
    [
        (["authorization_code", JWT_BEARER], ["authorization_code", "refresh_token"], "all"),
        (["authorization_code", "refresh_token", JWT_BEARER], ["authorization_code", "refresh_token"], "all"),
        (["authorization_code"], ["authorization_code", "refresh_token"], ["authorization_code", "refresh_token"]),
        ([JWT_BEARER], None, [JWT_BEARER]),
        ([JWT_BEARER, "refresh_token"], None, None),
        (["client_credentials"], None, None),
    ],
    ids=str,
)
async def test_a_registration_keeps_the_grant_if_a_provider_is_configured(
    http: httpx2.AsyncClient, configure: Configure, asked: list[str], without_provider: Any, with_provider: Any
) -> None:
    for config, expected in (({}, without_provider), (ANY, with_provider)):
        configure(**config)
        response = await register(http, grant_types=asked)
        if expected is None:
            assert response.status_code == 400 and response.json()["error"] == "invalid_client_metadata"
        else:
            everything = ["authorization_code", "refresh_token", JWT_BEARER]
            assert response.json()["grant_types"] == (everything if expected == "all" else expected)


async def test_a_client_that_registers_only_for_assertions_needs_no_redirect_and_has_no_other_grant(
    http: httpx2.AsyncClient, configure: Configure, browser: Browser
) -> None:
    configure(**ANY)
    client = await company_client(http, grant_types=[JWT_BEARER], redirect_uris=[], response_types=[])
    assert client.registration["response_types"] == [] and client.registration["redirect_uris"] == []
    assert (await client.exchange()).status_code == 200
    form = {"client_id": client.client_id, "client_secret": client.secret, "grant_type": "client_credentials"}
    assert (await http.post("/oauth/token", data=form)).json()["error"] == "unsupported_grant_type"
    question = {"response_type": "code", "client_id": client.client_id, "redirect_uri": "http://127.0.0.1/cb"}
    assert (await browser.get("/oauth/authorize", params=question)).status_code == 400
