"""An authorization code is redeemed once; whoever redeems it again ends what came of it (OAuth 2.1, section 4.1.3)."""

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
    said = response.json()
    return response.status_code == 400 and said["error"] == "invalid_grant" and said["error_description"].endswith(".")


async def test_a_second_use_ends_the_tokens_of_the_first(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    code = await code_of(browser, app)
    tokens = (await app.exchange(code)).json()
    assert await works(http, tokens)
    assert is_invalid_grant(await app.exchange(code))
    assert not await works(http, tokens)
    assert is_invalid_grant(await app.refresh(tokens["refresh_token"]))
    assert is_invalid_grant(await app.exchange(code))


async def test_a_second_use_ends_what_the_tokens_were_renewed_to(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    code = await code_of(browser, app)
    first = (await app.exchange(code)).json()
    renewed = [(await app.refresh(first["refresh_token"])).json() for _ in range(2)]  # as two racing processes
    renewed.append((await app.refresh(renewed[1]["refresh_token"])).json())
    assert await works(http, renewed[0]) and await works(http, renewed[2])
    assert is_invalid_grant(await app.exchange(code))
    for tokens in renewed:
        assert not await works(http, tokens)
        assert is_invalid_grant(await app.refresh(tokens["refresh_token"]))
    assert await orm(AccessToken.objects.count) == 0


async def test_a_second_use_ends_nothing_else(browser: Browser, app: OAuthClient, http: httpx2.AsyncClient) -> None:
    code = await code_of(browser, app)
    await app.exchange(code)
    beside = (await app.exchange(await code_of(browser, app))).json()  # the same app, another consent
    other = await registered(http)
    others = (await other.exchange(await code_of(browser, other))).json()
    assert is_invalid_grant(await app.exchange(code))
    assert await works(http, beside) and await works(http, others)
    assert (await app.refresh(beside["refresh_token"])).status_code == 200


async def test_only_the_client_that_had_the_code_can_end_its_tokens(browser: Browser, http: httpx2.AsyncClient) -> None:
    made = (await register(http, token_endpoint_auth_method="client_secret_post")).json()
    client = OAuthClient(http, made["client_id"], made["redirect_uris"][0])
    code = await code_of(browser, client)
    tokens = (await client.exchange(code, client_secret=made["client_secret"])).json()
    stranger = await registered(http)
    assert is_invalid_grant(await stranger.exchange(code))
    assert (await client.exchange(code)).status_code == 401
    assert (await client.exchange(code, client_secret="wrong")).status_code == 401
    assert (await client.exchange(code, client_id="unknown")).status_code == 401
    assert await works(http, tokens)
    assert is_invalid_grant(await client.exchange(code, client_secret=made["client_secret"]))
    assert not await works(http, tokens)


@pytest.mark.parametrize("round_", range(5))
async def test_of_five_uses_at_once_one_succeeds_and_its_tokens_end(
    browser: Browser,
    app: OAuthClient,
    http: httpx2.AsyncClient,
    orm: Orm,
    caplog: pytest.LogCaptureFixture,
    round_: int,
) -> None:
    answers = await at_once(partial(app.exchange, await code_of(browser, app)), 5)
    (won,) = [answer for answer in answers if answer.status_code == 200]
    assert [is_invalid_grant(answer) for answer in answers if answer is not won] == [True] * 4
    assert not await works(http, won.json())
    assert (await app.refresh(won.json()["refresh_token"])).status_code == 400
    assert await orm(AccessToken.objects.count) == 0
    assert await orm(UsedCode.objects.count) == await orm(RefreshToken.objects.count) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_refused_request_does_not_use_the_code_up(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    code = await code_of(browser, app)
    stranger = await registered(http)
    for refused in (
        await app.exchange(code, code_verifier="x" * 43),
        await app.exchange(code, redirect_uri="http://127.0.0.1:33418/other"),
        await app.exchange(code, resource="https://evil.example/mcp"),
        await app.exchange(code, client_id="unknown"),
        await stranger.exchange(code),
    ):
        assert 400 <= refused.status_code < 500
    assert await orm(UsedCode.objects.count) == 0
    tokens = await app.exchange(code)
    assert tokens.status_code == 200 and await works(http, tokens.json())


async def test_a_code_that_is_too_old_is_not_a_used_one(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    code = await code_of(browser, app)
    await orm(lambda: Grant.objects.update(expires=F("expires") - timedelta(seconds=61)))
    assert is_invalid_grant(await app.exchange(code))
    assert await orm(UsedCode.objects.count) == 0


async def test_the_code_is_kept_as_a_hash_alone_and_purged_in_time(
    browser: Browser, app: OAuthClient, orm: Orm
) -> None:
    code = await code_of(browser, app)
    await app.exchange(code)
    kept = await orm(UsedCode.objects.get)
    family = await orm(lambda: RefreshToken.objects.get().token_family)
    assert (kept.checksum, kept.token_family) == (checksum(code), family)
    assert await orm(Grant.objects.count) == 0

    def purge_after(days: int) -> int:
        UsedCode.objects.update(used_at=F("used_at") - timedelta(days=days))
        call_command("purge")
        return UsedCode.objects.count()

    assert await orm(lambda: purge_after(REPLAY_DAYS - 1)) == 1
    assert await orm(lambda: purge_after(2)) == 0
