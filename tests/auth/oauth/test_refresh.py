"""Staying connected: refresh tokens rotate, races are forgiven for a minute, a replay ends everything."""

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
    """Let time pass for every token there is."""

    def back() -> None:
        RefreshToken.objects.update(revoked=F("revoked") - by)
        AccessToken.objects.update(expires=F("expires") - by)

    await orm(back)


async def test_a_client_stays_connected_through_200_refreshes_with_racing_processes(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    held = await connected(browser, app)
    for _ in range(100):
        answers = await at_once(partial(app.refresh, held["refresh_token"]), 2)
        assert [answer.status_code for answer in answers] == [200, 200]
        pairs = [answer.json() for answer in answers]
        assert len({pair["refresh_token"] for pair in pairs}) == 2
        held = pairs[-1]
    for pair in pairs:
        assert await works(http, pair["access_token"])


async def test_five_racing_refreshes_all_get_tokens_that_work(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    held = await connected(browser, app)
    for answer in await at_once(partial(app.refresh, held["refresh_token"]), 5):
        assert answer.status_code == 200
        assert await works(http, answer.json()["access_token"])
        assert (await app.refresh(answer.json()["refresh_token"])).status_code == 200


async def test_one_refresh_token_gives_ten_racers_tokens_and_no_more(browser: Browser, app: OAuthClient) -> None:
    held = await connected(browser, app)
    answers = [(await app.refresh(held["refresh_token"])).status_code for _ in range(RACERS_MAX + 5)]
    assert answers == [200] * RACERS_MAX + [400] * 5


async def test_the_replay_of_a_refresh_token_ends_the_whole_family(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    first = await connected(browser, app)
    second = (await app.refresh(first["refresh_token"])).json()
    beside = (await app.refresh(first["refresh_token"])).json()
    await age(orm, timedelta(seconds=RACE_SECONDS + 1))
    replayed = await app.refresh(first["refresh_token"])
    assert replayed.status_code == 400 and replayed.json()["error"] == "invalid_grant"
    for pair in (second, beside):
        assert not await works(http, pair["access_token"])
        assert (await app.refresh(pair["refresh_token"])).status_code == 400


async def test_a_token_two_generations_old_ends_the_family_even_within_the_minute(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    first = await connected(browser, app)
    second = (await app.refresh(first["refresh_token"])).json()
    third = (await app.refresh(second["refresh_token"])).json()
    assert (await app.refresh(first["refresh_token"])).status_code == 400
    assert not await works(http, third["access_token"])


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_revoking_either_token_ends_what_a_race_left_beside_it(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, which: str
) -> None:
    first = await connected(browser, app)
    second = (await app.refresh(first["refresh_token"])).json()
    beside = (await app.refresh(first["refresh_token"])).json()
    await http.post("/oauth/revoke", data={"token": second[which], "client_id": app.client_id})
    for pair in (second, beside):
        assert not await works(http, pair["access_token"])
    for pair in (first, second, beside):
        assert (await app.refresh(pair["refresh_token"])).status_code == 400


async def test_a_client_stays_connected_for_90_days_from_its_last_use(
    browser: Browser, app: OAuthClient, orm: Orm
) -> None:
    held = await connected(browser, app)
    for _ in range(4):
        await age(orm, timedelta(days=89))
        answer = await app.refresh(held["refresh_token"])
        assert answer.status_code == 200, answer.text
        held = answer.json()
    await age(orm, timedelta(days=90, minutes=16))
    assert (await app.refresh(held["refresh_token"])).status_code == 400


async def test_a_deactivated_person_cannot_refresh(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    held = await connected(browser, app)
    await orm(lambda: set_active(user_id="alice", active=False))
    assert (await app.refresh(held["refresh_token"])).status_code == 400
    await orm(lambda: set_active(user_id="alice", active=True))
    assert (await app.refresh(held["refresh_token"])).status_code == 200


async def test_a_refresh_can_narrow_the_scopes_and_never_widen_them(browser: Browser, app: OAuthClient) -> None:
    held = await connected(browser, app, scope="tasks:read")
    assert (await app.refresh(held["refresh_token"], scope="tasks:read tasks:write")).status_code == 400
    assert (await app.refresh(held["refresh_token"], scope="tasks:read")).json()["scope"] == "tasks:read"


async def test_another_client_cannot_use_a_refresh_token(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    held = await connected(browser, app)
    other = await app.http.post("/oauth/register", json={"redirect_uris": ["https://evil.example/cb"]})
    thief = OAuthClient(http, other.json()["client_id"])
    assert (await thief.refresh(held["refresh_token"])).status_code == 401  # it has a secret, and did not send it
    sent = {"client_id": thief.client_id, "client_secret": other.json()["client_secret"]}
    assert (await app.refresh(held["refresh_token"], **sent)).status_code == 400
    assert (await app.refresh(held["refresh_token"])).status_code == 200


async def test_tokens_are_stored_as_hashes_alone(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    held = await connected(browser, app)
    stored = await orm(lambda: [*AccessToken.objects.values(), *RefreshToken.objects.values()])
    assert [row["token"] for row in stored] == ["", ""]
    assert {row["token_checksum"] for row in stored} == {
        checksum(held["access_token"]),
        checksum(held["refresh_token"]),
    }
