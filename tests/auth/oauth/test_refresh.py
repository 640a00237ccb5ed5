"""Refresh tokens rotate. An old one works until a successor has been used; then it is a replay and ends the family."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest
from django.core.management import call_command
from django.db.models import F
from oauth2_provider.models import AccessToken, RefreshToken

from tests.support.application import Orm
from tests.support.auth.oauth_client import Browser, OAuthClient, at_once, connected
from tests.support.caller import Caller
from todo_mcp.auth.models import Successor
from todo_mcp.auth.oauth import families
from todo_mcp.auth.oauth.connected_apps import disconnect, list_connected_apps
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import checksum, list_tokens
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


async def refreshed(client: OAuthClient, tokens: dict[str, Any]) -> dict[str, Any]:
    """The successors of these tokens."""
    answer = await client.refresh(tokens["refresh_token"])
    assert answer.status_code == 200, answer.text
    pair: dict[str, Any] = answer.json()
    return pair


async def is_over(client: OAuthClient, tokens: dict[str, Any]) -> bool:
    """Whether this refresh token is refused, with a reason."""
    answer = await client.refresh(tokens["refresh_token"])
    return answer.status_code == 400 and answer.json()["error"] == "invalid_grant"


async def test_a_client_stays_connected_through_200_refreshes_with_racing_processes(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
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


@pytest.mark.parametrize("later", [0, 63, 3600, 86_400 * 80], ids=lambda seconds: f"{seconds}s")
async def test_a_process_that_comes_late_with_the_old_token_signs_nobody_out(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm, later: int
) -> None:
    first = await connected(browser, app)
    second = await refreshed(app, first)
    await age(orm, timedelta(seconds=later))
    siblings = [await refreshed(app, first) for _ in range(3)]
    for pair in siblings:
        assert await works(http, pair["access_token"])
    for pair in (*siblings, second):
        assert await works(http, (await refreshed(app, pair))["access_token"])


async def test_a_refresh_does_not_end_the_old_access_token(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    first = await connected(browser, app)
    second = await refreshed(app, first)
    third = await refreshed(app, second)
    for pair in (first, second, third):
        assert await works(http, pair["access_token"])


async def test_the_old_token_is_a_replay_once_a_successor_was_used(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    first = await connected(browser, app)
    second, sibling = await refreshed(app, first), await refreshed(app, first)
    third = await refreshed(app, second)
    replay = await app.refresh(first["refresh_token"])
    assert replay.json()["error"] == "invalid_grant" and "Connect again" in replay.json()["error_description"]
    for pair in (first, second, sibling, third):
        assert not await works(http, pair["access_token"])
        assert await is_over(app, pair)


async def test_every_successor_stays_valid_on_its_own_branch(browser: Browser, app: OAuthClient) -> None:
    """Two processes share the first token, and from then on each follows its own tokens. Both lose answers."""
    first = await connected(browser, app)
    branches = [await refreshed(app, first), await refreshed(app, first)]
    for _ in range(3):
        for number, pair in enumerate(branches):
            await refreshed(app, pair)  # this answer gets lost
            branches[number] = await refreshed(app, pair)
    assert not await is_over(app, branches[0])
    assert await is_over(app, first)  # a replay, which ends both branches
    assert await is_over(app, branches[1])


async def test_a_token_can_be_used_again_while_its_own_successors_are_unused(
    browser: Browser, app: OAuthClient
) -> None:
    first = await connected(browser, app)
    second, sibling = await refreshed(app, first), await refreshed(app, first)
    third = await refreshed(app, second)
    await refreshed(app, sibling)  # its first use; the sibling's use does not matter
    await refreshed(app, second)  # third is unused
    await refreshed(app, third)
    assert await is_over(app, second)


async def test_simultaneous_uses_of_the_old_and_the_new_token_end_in_one_of_the_two_orders(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        first = await connected(browser, app)
        second = await refreshed(app, first)
        tokens = iter([first, second] * 2)
        answers = await at_once(lambda: app.refresh(next(tokens)["refresh_token"]), 4)  # noqa: B023
        pairs = [answer.json() for answer in answers if answer.status_code == 200]
        if len(pairs) == 4:  # each use of the old token came before every use of the new one
            assert all([await works(http, pair["access_token"]) for pair in pairs])
        else:
            assert {answer.status_code for answer in answers} <= {200, 400}
            assert not any([await works(http, pair["access_token"]) for pair in (first, second, *pairs)])
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_family_holds_a_limited_number_of_live_tokens(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "LIVE_MAX", 5)
    first = await connected(browser, app)
    pairs = [await refreshed(app, first) for _ in range(9)]
    assert await orm(lambda: RefreshToken.objects.filter(revoked=None).count()) == 5
    assert await orm(AccessToken.objects.count) == 5
    assert await is_over(app, pairs[0])  # just unknown: it ends nothing
    for pair in pairs[-4:]:
        assert await works(http, pair["access_token"])
    await refreshed(app, pairs[-1])


async def test_purge_removes_what_a_connection_leaves_behind(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    tokens = await connected(browser, app)
    for _ in range(5):
        await refreshed(app, tokens)  # this answer gets lost
        tokens = await refreshed(app, tokens)

    def rows_after(days: int) -> list[int]:
        RefreshToken.objects.update(revoked=F("revoked") - timedelta(days=days))
        AccessToken.objects.update(expires=F("expires") - timedelta(days=days))
        call_command("purge")
        return [model.objects.count() for model in (RefreshToken, AccessToken, Successor)]

    assert await orm(lambda: rows_after(1)) == [11, 7, 10]  # expired access tokens of used refresh tokens
    assert await orm(lambda: rows_after(7)) == [7, 7, 2]  # used refresh tokens; the five lost ones are still valid
    tokens = await refreshed(app, tokens)
    assert await orm(lambda: rows_after(83)) == [1, 1, 0]
    await refreshed(app, tokens)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("age_of_token", [0, 1, 2])
async def test_revoking_any_token_of_a_family_ends_all(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, which: str, age_of_token: int
) -> None:
    first = await connected(browser, app)
    second, sibling = await refreshed(app, first), await refreshed(app, first)
    third = await refreshed(app, second)
    token = (third, second, first)[age_of_token][which]
    await http.post("/oauth/revoke", data={"token": token, "client_id": app.client_id})
    for pair in (first, second, sibling, third):
        assert not await works(http, pair["access_token"])
        assert await is_over(app, pair)


async def test_disconnecting_ends_all_tokens_of_a_family_even_during_a_refresh(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    for _ in range(10):
        first = await connected(browser, app)
        pairs = [first, await refreshed(app, first)]

        async def refresh_often() -> None:
            for pair in pairs:  # noqa: B023 # grows, until the connection has ended
                answer = await app.refresh(pair["refresh_token"])
                if answer.status_code == 200:
                    pairs.append(answer.json())  # noqa: B023

        async with anyio.create_task_group() as group:
            group.start_soon(refresh_often)
            application = await orm(lambda: AccessToken.objects.latest("pk").application_id)
            assert await orm(lambda: disconnect(user_id="alice", application_id=application, cause=Cause(By.COMMAND)))  # noqa: B023
        for pair in pairs:
            assert not await works(http, pair["access_token"])
        assert await orm(lambda: RefreshToken.objects.count() + AccessToken.objects.count()) == 0
        assert await is_over(app, pairs[-1])


async def test_lists_show_a_connection_once(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    first = await connected(browser, app)
    await refreshed(app, first)
    await refreshed(app, first)
    assert await orm(lambda: list_tokens(user_id="alice").count()) == 3  # all three are valid
    await orm(
        lambda: disconnect(user_id="alice", application_id=list_tokens()[0].application_id, cause=Cause(By.COMMAND))
    )
    tokens = await connected(browser, app)
    for _ in range(3):
        tokens = await refreshed(app, tokens)
    await age(orm, timedelta(minutes=16))
    assert await orm(lambda: list_tokens(user_id="alice").count()) == 1
    (connection,) = await orm(lambda: list_connected_apps(user_id="alice"))
    assert connection.until is None


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
