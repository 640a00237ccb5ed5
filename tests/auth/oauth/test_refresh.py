"""Refresh tokens rotate. Racing refreshes are tolerated for a minute; a later replay revokes the whole family."""

from datetime import timedelta
from functools import partial

import httpx2
import pytest
from django.db.models import F
from oauth2_provider.models import AccessToken, RefreshToken

from tests.support.application import Orm
from tests.support.auth.oauth_client import Browser, OAuthClient, at_once, connected
from tests.support.caller import Caller
from todo_mcp.auth.oauth.validator import RACE_SECONDS, RACERS_MAX
from todo_mcp.auth.tokens import checksum
from todo_mcp.users.services import set_active

pytestmark = pytest.mark.anyio


async def works(http: httpx2.AsyncClient, access_token: str) -> bool:
    return (await Caller(http, access_token).post("list_tasks")).status_code == 200


async def age(orm: Orm, by: timedelta) -> None:
    """Let this much time pass for every token."""

    def shift() -> None:
        RefreshToken.objects.update(revoked=F("revoked") - by)
        AccessToken.objects.update(expires=F("expires") - by)

    await orm(shift)


async def test_a_client_stays_connected_through_200_refreshes_with_racing_processes(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    tokens = await connected(browser, app)
    for _ in range(100):
        answers = await at_once(partial(app.refresh, tokens["refresh_token"]), 2)
        assert [answer.status_code for answer in answers] == [200, 200]
        pairs = [answer.json() for answer in answers]
        assert len({pair["refresh_token"] for pair in pairs}) == 2
        tokens = pairs[-1]
    for pair in pairs:
        assert await works(http, pair["access_token"])


async def test_five_racing_refreshes_all_get_working_tokens(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    tokens = await connected(browser, app)
    for answer in await at_once(partial(app.refresh, tokens["refresh_token"]), 5):
        assert answer.status_code == 200
        assert await works(http, answer.json()["access_token"])
        assert (await app.refresh(answer.json()["refresh_token"])).status_code == 200


async def test_one_refresh_token_gives_tokens_to_ten_racing_requests_and_no_more(
    browser: Browser, app: OAuthClient
) -> None:
    tokens = await connected(browser, app)
    answers = [(await app.refresh(tokens["refresh_token"])).status_code for _ in range(RACERS_MAX + 5)]
    assert answers == [200] * RACERS_MAX + [400] * 5


async def test_replaying_a_refresh_token_revokes_the_whole_family(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    first = await connected(browser, app)
    second = (await app.refresh(first["refresh_token"])).json()
    sibling = (await app.refresh(first["refresh_token"])).json()
    await age(orm, timedelta(seconds=RACE_SECONDS + 1))
    replay = await app.refresh(first["refresh_token"])
    assert replay.status_code == 400 and replay.json()["error"] == "invalid_grant"
    for pair in (second, sibling):
        assert not await works(http, pair["access_token"])
        assert (await app.refresh(pair["refresh_token"])).status_code == 400


async def test_reusing_a_token_two_generations_old_revokes_the_family_even_within_the_minute(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    first = await connected(browser, app)
    second = (await app.refresh(first["refresh_token"])).json()
    third = (await app.refresh(second["refresh_token"])).json()
    assert (await app.refresh(first["refresh_token"])).status_code == 400
    assert not await works(http, third["access_token"])


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_revoking_either_token_also_revokes_the_tokens_of_a_racing_refresh(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, which: str
) -> None:
    first = await connected(browser, app)
    second = (await app.refresh(first["refresh_token"])).json()
    sibling = (await app.refresh(first["refresh_token"])).json()
    await http.post("/oauth/revoke", data={"token": second[which], "client_id": app.client_id})
    for pair in (second, sibling):
        assert not await works(http, pair["access_token"])
    for pair in (first, second, sibling):
        assert (await app.refresh(pair["refresh_token"])).status_code == 400


async def test_a_client_stays_connected_for_90_days_after_its_last_use(
    browser: Browser, app: OAuthClient, orm: Orm
) -> None:
    tokens = await connected(browser, app)
    for _ in range(4):
        await age(orm, timedelta(days=89))
        answer = await app.refresh(tokens["refresh_token"])
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
    await age(orm, timedelta(days=90, minutes=16))
    assert (await app.refresh(tokens["refresh_token"])).status_code == 400


async def test_a_deactivated_user_cannot_refresh(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    tokens = await connected(browser, app)
    await orm(lambda: set_active(user_id="alice", active=False))
    assert (await app.refresh(tokens["refresh_token"])).status_code == 400
    await orm(lambda: set_active(user_id="alice", active=True))
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_refresh_cannot_widen_the_scopes(browser: Browser, app: OAuthClient) -> None:
    tokens = await connected(browser, app, scope="tasks:read")
    assert (await app.refresh(tokens["refresh_token"], scope="tasks:read tasks:write")).status_code == 400
    assert (await app.refresh(tokens["refresh_token"], scope="tasks:read")).json()["scope"] == "tasks:read"


async def test_another_client_cannot_use_a_refresh_token(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    tokens = await connected(browser, app)
    registration = await app.http.post("/oauth/register", json={"redirect_uris": ["https://evil.example/cb"]})
    thief = OAuthClient(http, registration.json()["client_id"])
    # The client has a secret but does not send it.
    assert (await thief.refresh(tokens["refresh_token"])).status_code == 401
    credentials = {"client_id": thief.client_id, "client_secret": registration.json()["client_secret"]}
    assert (await app.refresh(tokens["refresh_token"], **credentials)).status_code == 400
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_tokens_are_stored_only_as_hashes(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    tokens = await connected(browser, app)
    rows = await orm(lambda: [*AccessToken.objects.values(), *RefreshToken.objects.values()])
    assert [row["token"] for row in rows] == ["", ""]
    assert {row["token_checksum"] for row in rows} == {
        checksum(tokens["access_token"]),
        checksum(tokens["refresh_token"]),
    }
