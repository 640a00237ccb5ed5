"""A revoked token keeps a record, whoever revoked it, and its value still finds it."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.core.management import call_command
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, set_token_value

from tests.support.application import Orm
from tests.support.auth.oauth_client import Browser, OAuthClient, answered, connected
from todo_mcp.auth.models import RevokedToken
from todo_mcp.auth.revocation import RETENTION, By, Cause, by_operator
from todo_mcp.auth.tokens import find_token, issue_token, revoke_all, revoke_token, token_by_value
from todo_mcp.statistics.token_use import write_uses
from todo_mcp.users.models import User


def token_id_of(value: str) -> int:
    token_id = token_by_value(value)
    assert token_id is not None
    return token_id


async def records(orm: Orm) -> list[tuple[str | None, str, str]]:
    rows = RevokedToken.objects.order_by("token_id")
    return await orm(lambda: [(row.user_id, row.revoked_by, row.reason) for row in rows])


def test_a_record_says_whose_the_token_was_and_who_revoked_it_when_and_why(
    committed: None, alice: User, operator: User
) -> None:
    value = issue_token(user_id="alice", name="phone", scopes=["tasks:read"], expires_in=timedelta(days=1))
    token = AccessToken.objects.get()
    used_at = timezone.now() - timedelta(hours=1)
    write_uses({token.pk: used_at})
    assert revoke_token(token_id=token.pk, cause=by_operator("operator", "It leaked."))
    record = RevokedToken.objects.get()
    assert (record.pk, record.user_id, record.name, record.scope) == (token.pk, "alice", "phone", "tasks:read")
    assert (record.source, record.created, record.expires) == ("an operator", token.created, token.expires)
    assert (record.last_used_at, record.revoked_by, record.operator_id) == (used_at, "admin", "operator")
    assert record.reason == "It leaked." and timezone.now() - record.revoked_at < timedelta(minutes=1)
    assert value not in str(vars(record)) and find_token(value) is None


def test_a_reason_is_cut_to_what_fits(committed: None, alice: User, operator: User) -> None:
    issue_token(user_id="alice")
    revoke_all(user_id="alice", cause=by_operator("operator", "x" * 500))
    assert RevokedToken.objects.get().reason == "x" * 200


def test_the_command_records_its_reason(committed: None, alice: User) -> None:
    value = issue_token(user_id="alice")
    call_command("revoke_token", "--user", "alice", "--reason", "moved")
    record = RevokedToken.objects.get(pk=token_id_of(value))
    assert (record.revoked_by, record.reason, record.operator_id) == ("command", "moved", None)


def test_all_tokens_of_a_client_are_revoked_and_no_other(committed: None, alice: User, bob: User) -> None:
    client = Application.objects.create(registration_source=Application.RegistrationSource.DCR)
    for user in (alice, bob):
        record = AccessToken(user=user, application=client, expires=timezone.now() + timedelta(days=1))
        set_token_value(record, f"token of {user.pk}")
        record.save()
    other = issue_token(user_id="alice")
    assert revoke_all(application_id=client.pk, cause=Cause(By.COMMAND)) == 2
    assert find_token(other) and RevokedToken.objects.count() == 2


def test_two_revocations_of_one_token_leave_the_first_record(committed: None, alice: User) -> None:
    issue_token(user_id="alice")
    token = AccessToken.objects.get()
    revoke_token(token_id=token.pk, cause=Cause(By.SERVER))
    token.save(force_insert=True)  # as a transaction sees it that began earlier
    revoke_token(token_id=token.pk, cause=Cause(By.COMMAND))
    assert RevokedToken.objects.get().revoked_by == "server"


def test_the_end_of_a_token_and_its_purge_leave_no_record(committed: None, alice: User) -> None:
    issue_token(user_id="alice", expires_in=timedelta(seconds=-1))
    call_command("purge", verbosity=0)
    assert not AccessToken.objects.exists() and not RevokedToken.objects.exists()


def test_a_record_goes_after_a_year_and_with_its_user_but_not_with_the_operator(
    committed: None, alice: User, bob: User, operator: User
) -> None:
    for user_id in ("alice", "bob", "bob"):
        issue_token(user_id=user_id)
    for user_id in ("alice", "bob"):
        revoke_all(user_id=user_id, cause=by_operator("operator"))
    operator.delete()
    assert set(RevokedToken.objects.values_list("operator", flat=True)) == {None}
    alice.delete()
    assert RevokedToken.objects.count() == 2
    oldest = RevokedToken.objects.order_by("pk")[:1]
    RevokedToken.objects.filter(pk__in=oldest.values("pk")).update(revoked_at=timezone.now() - RETENTION)
    call_command("purge", verbosity=0)
    assert RevokedToken.objects.count() == 1


@pytest.mark.parametrize(
    "pasted",
    [
        "{}",
        "  {}\n",
        '"{}"',
        "'{}',",
        "Bearer {}",
        "bearer  {} ",
        "Authorization: Bearer {}",
        '"Authorization": "Bearer {}"',
    ],
)
def test_a_pasted_value_finds_its_token_whatever_stands_around_it(committed: None, alice: User, pasted: str) -> None:
    value = issue_token(user_id="alice")
    token = AccessToken.objects.get()
    assert token_by_value(pasted.format(value)) == token.pk
    AccessToken.objects.update(expires=timezone.now())
    assert token_by_value(pasted.format(value)) == token.pk
    revoke_token(token_id=token.pk, cause=Cause(By.COMMAND))


def test_a_value_finds_its_token_after_it_was_revoked(committed: None, alice: User) -> None:
    value = issue_token(user_id="alice")
    token = AccessToken.objects.get()
    revoke_token(token_id=token.pk, cause=Cause(By.COMMAND))
    assert token_by_value(value) == token.pk


@pytest.mark.parametrize("value", ["", " ", '""', "Bearer", "todo_unknown", "ü", "x" * 9000, "\0", "a b"])
def test_another_text_finds_no_token(committed: None, alice: User, value: str) -> None:
    issue_token(user_id="alice")
    assert token_by_value(value) is None


@pytest.mark.anyio
async def test_the_refresh_tokens_of_an_app_find_its_token_before_and_after_it_ends(
    browser: Browser, app: OAuthClient, orm: Orm
) -> None:
    first = await connected(browser, app)
    second = (await app.refresh(first["refresh_token"])).json()
    older, latest = await orm(lambda: [token_by_value(tokens["access_token"]) for tokens in (first, second)])
    values = [second["access_token"], second["refresh_token"], first["refresh_token"]]
    assert await orm(lambda: [token_by_value(value) for value in values]) == [latest, latest, older]
    await orm(lambda: revoke_all(user_id="alice", cause=Cause(By.COMMAND)))
    assert not await orm(AccessToken.objects.exists)
    found = await orm(lambda: [token_by_value(value) for value in values])
    assert found[:2] == [latest, latest] and found[2] in (older, latest)


async def by_the_person(browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, tokens: dict[str, Any]) -> None:
    await browser.submit(await browser.get("/oauth/connections"))


async def by_the_client(browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, tokens: dict[str, Any]) -> None:
    await http.post("/oauth/revoke", data={"token": tokens["access_token"], "client_id": app.client_id})


async def by_a_replay(browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, tokens: dict[str, Any]) -> None:
    second = (await app.refresh(tokens["refresh_token"])).json()
    await app.refresh(second["refresh_token"])
    assert (await app.refresh(tokens["refresh_token"])).status_code == 400


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("revoke", "by", "reason"),
    [
        (by_the_person, "person", ""),
        (by_the_client, "client", ""),
        (by_a_replay, "server", "A refresh token was used again after its successor was used."),
    ],
)
async def test_a_connection_that_ends_leaves_a_record_of_who_ended_it(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm, revoke: Any, by: str, reason: str
) -> None:
    tokens = await connected(browser, app)
    await revoke(browser, app, http, tokens)
    assert set(await records(orm)) == {("alice", by, reason)}
    assert not await orm(AccessToken.objects.exists)


@pytest.mark.anyio
async def test_a_code_that_is_used_twice_leaves_a_record(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    code = answered(await browser.consent(app.question()))["code"]
    for _ in range(2):
        await app.exchange(code)
    assert await records(orm) == [("alice", "server", "An authorization code was used again.")]


@pytest.mark.anyio
async def test_a_token_without_a_family_that_its_client_revokes_leaves_a_record(
    app: OAuthClient, http: httpx2.AsyncClient, alice: User, orm: Orm
) -> None:
    def asserted() -> None:
        client = Application.objects.get(client_id=app.client_id)
        record = AccessToken(user=alice, application=client, expires=timezone.now() + timedelta(minutes=5))
        set_token_value(record, "asserted")
        record.save()

    await orm(asserted)
    await http.post("/oauth/revoke", data={"token": "asserted", "client_id": app.client_id})
    assert await records(orm) == [("alice", "client", "")]


@pytest.mark.anyio
async def test_a_refresh_leaves_no_record(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    tokens = await connected(browser, app)
    for _ in range(3):
        tokens = (await app.refresh(tokens["refresh_token"])).json()
    assert await records(orm) == []
