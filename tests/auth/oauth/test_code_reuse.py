"""An authorization code works once. A second use revokes the tokens of the first (OAuth 2.1, section 4.1.3)."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from django.core.management import call_command
from django.db.models import F
from oauth2_provider.models import AccessToken, Grant, RefreshToken

from tests.support.application import Orm
from tests.support.auth.oauth_client import Browser, OAuthClient, answered, at_once, register, registered
from tests.support.caller import Caller
from todo_mcp.auth.models import UsedCode
from todo_mcp.auth.oauth.retention import REPLAY_DAYS
from todo_mcp.auth.tokens import checksum

pytestmark = pytest.mark.anyio


async def code_of(browser: Browser, client: OAuthClient) -> str:
    return answered(await browser.consent(client.question()))["code"]


async def works(http: httpx2.AsyncClient, tokens: dict[str, Any]) -> bool:
    return (await Caller(http, tokens["access_token"]).post("list_tasks")).status_code == 200


def is_invalid_grant(response: httpx2.Response) -> bool:
    body = response.json()
    return response.status_code == 400 and body["error"] == "invalid_grant" and body["error_description"].endswith(".")


async def test_a_second_use_of_a_code_revokes_the_tokens_of_the_first_use(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    code = await code_of(browser, app)
    tokens = (await app.exchange(code)).json()
    assert await works(http, tokens)
    assert is_invalid_grant(await app.exchange(code))
    assert not await works(http, tokens)
    assert is_invalid_grant(await app.refresh(tokens["refresh_token"]))
    assert is_invalid_grant(await app.exchange(code))


async def test_a_second_use_of_a_code_revokes_refreshed_tokens_too(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    code = await code_of(browser, app)
    first = (await app.exchange(code)).json()
    # Two refreshes with one token, as two racing processes make them.
    refreshed_tokens = [(await app.refresh(first["refresh_token"])).json() for _ in range(2)]
    refreshed_tokens.append((await app.refresh(refreshed_tokens[1]["refresh_token"])).json())
    assert await works(http, refreshed_tokens[0]) and await works(http, refreshed_tokens[2])
    assert is_invalid_grant(await app.exchange(code))
    for tokens in refreshed_tokens:
        assert not await works(http, tokens)
        assert is_invalid_grant(await app.refresh(tokens["refresh_token"]))
    assert await orm(AccessToken.objects.count) == 0


async def test_a_second_use_of_a_code_revokes_no_other_tokens(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    code = await code_of(browser, app)
    await app.exchange(code)
    second_consent_tokens = (await app.exchange(await code_of(browser, app))).json()  # the same app, another consent
    other = await registered(http)
    other_tokens = (await other.exchange(await code_of(browser, other))).json()
    assert is_invalid_grant(await app.exchange(code))
    assert await works(http, second_consent_tokens) and await works(http, other_tokens)
    assert (await app.refresh(second_consent_tokens["refresh_token"])).status_code == 200


async def test_only_the_client_of_the_code_can_cause_its_tokens_to_be_revoked(
    browser: Browser, http: httpx2.AsyncClient
) -> None:
    registration = (await register(http, token_endpoint_auth_method="client_secret_post")).json()
    client = OAuthClient(http, registration["client_id"], registration["redirect_uris"][0])
    code = await code_of(browser, client)
    tokens = (await client.exchange(code, client_secret=registration["client_secret"])).json()
    stranger = await registered(http)
    assert is_invalid_grant(await stranger.exchange(code))
    assert (await client.exchange(code)).status_code == 401
    assert (await client.exchange(code, client_secret="wrong")).status_code == 401
    assert (await client.exchange(code, client_id="unknown")).status_code == 401
    assert await works(http, tokens)
    assert is_invalid_grant(await client.exchange(code, client_secret=registration["client_secret"]))
    assert not await works(http, tokens)


@pytest.mark.parametrize("round_", range(5))
async def test_one_of_five_simultaneous_uses_succeeds_and_its_tokens_are_revoked(
    browser: Browser,
    app: OAuthClient,
    http: httpx2.AsyncClient,
    orm: Orm,
    caplog: pytest.LogCaptureFixture,
    round_: int,
) -> None:
    answers = await at_once(partial(app.exchange, await code_of(browser, app)), 5)
    (winner,) = [answer for answer in answers if answer.status_code == 200]
    assert [is_invalid_grant(answer) for answer in answers if answer is not winner] == [True] * 4
    assert not await works(http, winner.json())
    assert (await app.refresh(winner.json()["refresh_token"])).status_code == 400
    assert await orm(AccessToken.objects.count) == 0
    assert await orm(UsedCode.objects.count) == await orm(RefreshToken.objects.count) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_refused_request_does_not_use_up_the_code(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    code = await code_of(browser, app)
    stranger = await registered(http)
    for refusal in (
        await app.exchange(code, code_verifier="x" * 43),
        await app.exchange(code, redirect_uri="http://127.0.0.1:33418/other"),
        await app.exchange(code, resource="https://evil.example/mcp"),
        await app.exchange(code, client_id="unknown"),
        await stranger.exchange(code),
    ):
        assert 400 <= refusal.status_code < 500
    assert await orm(UsedCode.objects.count) == 0
    tokens = await app.exchange(code)
    assert tokens.status_code == 200 and await works(http, tokens.json())


async def test_an_expired_code_is_not_recorded_as_used(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    code = await code_of(browser, app)
    await orm(lambda: Grant.objects.update(expires=F("expires") - timedelta(seconds=61)))
    assert is_invalid_grant(await app.exchange(code))
    assert await orm(UsedCode.objects.count) == 0


async def test_a_used_code_is_stored_only_as_a_hash_and_purged_later(
    browser: Browser, app: OAuthClient, orm: Orm
) -> None:
    code = await code_of(browser, app)
    await app.exchange(code)
    used_code = await orm(UsedCode.objects.get)
    family = await orm(lambda: RefreshToken.objects.get().token_family)
    assert (used_code.checksum, used_code.token_family) == (checksum(code), family)
    assert await orm(Grant.objects.count) == 0

    def purge_after(days: int) -> int:
        UsedCode.objects.update(used_at=F("used_at") - timedelta(days=days))
        call_command("purge")
        return UsedCode.objects.count()

    assert await orm(lambda: purge_after(REPLAY_DAYS - 1)) == 1
    assert await orm(lambda: purge_after(2)) == 0
