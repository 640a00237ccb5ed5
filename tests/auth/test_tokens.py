"""Tokens: stored only as hashes, limited to their scopes, and refused from the first call after they end."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from oauth2_provider.models import AccessToken

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.tool_calls import TOOLS, arguments_of, refused, send
from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import find_token, issue_token, list_tokens, revoke_token
from todo_mcp.core.errors import Unauthenticated, UserNotFound
from todo_mcp.operators.user_data import delete_user
from todo_mcp.users.models import User
from todo_mcp.users.services import set_active

FOR_A_USER = ["tasks:read", "tasks:write", "conversations:read", "conversations:write"]


def everything_in_the_database() -> str:
    """Every row of every table, as text."""
    with connection.cursor() as cursor:
        rows = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')
            rows += [row[0] for row in cursor.fetchall()]
    return "\n".join(rows)


@pytest.mark.django_db
def test_a_token_is_stored_only_as_its_hash(alice: User) -> None:
    for token in (
        issue_token(user_id="alice"),
        issue_token(service="chat"),
        issue_token(user_id="alice", name="laptop"),
    ):
        rows = everything_in_the_database()
        assert hashlib.sha256(token.encode()).hexdigest() in rows
        for part in (token, token.removeprefix("todo_"), token[:20], token[-20:]):
            assert part not in rows


@pytest.mark.django_db
def test_tokens_are_long_random_and_recognisable(alice: User) -> None:
    tokens = [issue_token(user_id="alice") for _ in range(10)]
    assert len(set(tokens)) == 10
    assert all(token.startswith("todo_") and len(token) == len("todo_") + 43 for token in tokens)


@pytest.mark.django_db
def test_a_personal_token_belongs_to_its_user_and_a_service_token_to_no_user(alice: User) -> None:
    named, unnamed = (
        authenticate(issue_token(user_id="alice", name="laptop")),
        authenticate(issue_token(user_id="alice")),
    )
    assert (named.user_id, named.token_name, sorted(named.scopes)) == ("alice", "laptop", sorted(FOR_A_USER))
    assert unnamed.token_name == "personal"
    service = authenticate(issue_token(service="chat"))
    assert (service.user_id, service.token_name, sorted(service.scopes)) == (None, "chat", sorted(settings.SCOPES))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "Name either a user or a service"),
        ({"user_id": "alice", "service": "chat"}, "Name either a user or a service"),
        ({"service": ""}, "Name either a user or a service"),
        ({"service": "  "}, "Name either a user or a service"),
        ({"user_id": "alice", "scopes": []}, r"Scope \(none\) is not allowed"),
        ({"user_id": "alice", "scopes": ["tasks:admin"]}, "Scope tasks:admin is not allowed"),
        ({"user_id": "alice", "scopes": ["tasks:read", "tasks:act_as"]}, "Scope tasks:act_as is not allowed"),
        ({"service": "chat", "scopes": ["tasks:read tasks:write"]}, "Scope tasks:read tasks:write is not allowed"),
    ],
    ids=str,
)
def test_a_token_with_wrong_arguments_is_not_issued(alice: User, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        issue_token(**wrong)
    assert not AccessToken.objects.exists()


@pytest.mark.django_db
def test_a_token_for_an_unknown_user_is_not_issued() -> None:
    for user_id in ("no-one", "", "me"):
        with pytest.raises(UserNotFound):
            issue_token(user_id=user_id)


@pytest.mark.django_db
def test_only_the_exact_token_is_accepted(alice: User) -> None:
    token = issue_token(user_id="alice")
    assert find_token(token) is not None
    for wrong in (token.upper(), token[:-1], token + "x", token.removeprefix("todo_"), " " + token, "", "todo_", "é"):
        with pytest.raises(Unauthenticated):
            authenticate(wrong)
    with pytest.raises(Unauthenticated):
        authenticate(hashlib.sha256(token.encode()).hexdigest())  # whoever steals the table has no token


@pytest.mark.django_db
def test_a_list_of_tokens_contains_the_valid_ones_newest_first(alice: User, bob: User) -> None:
    issue_token(user_id="alice")
    issue_token(user_id="bob")
    issue_token(service="chat")
    issue_token(user_id="alice", name="laptop")
    issue_token(user_id="alice", expires_in=timedelta(0))
    assert [token.application.name for token in list_tokens()] == ["laptop", "chat", "personal", "personal"]
    assert [token.application.name for token in list_tokens(user_id="alice")] == ["laptop", "personal"]
    assert [token.user_id for token in list_tokens(service="chat")] == [None]
    assert not list_tokens(service="personal").exists()


@pytest.mark.django_db
def test_revoking_a_token_leaves_other_tokens_valid(alice: User) -> None:
    valid_token, revoked_token = issue_token(user_id="alice"), issue_token(user_id="alice")
    record = find_token(revoked_token)
    assert record is not None
    assert revoke_token(token_id=record.pk, cause=Cause(By.COMMAND))
    assert not revoke_token(token_id=record.pk, cause=Cause(By.COMMAND))
    assert find_token(revoked_token) is None
    assert authenticate(valid_token).user_id == "alice"


def expire() -> None:
    AccessToken.objects.update(expires=timezone.now())


def revoke() -> None:
    for record in AccessToken.objects.all():
        assert revoke_token(token_id=record.pk, cause=Cause(By.COMMAND))


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "end",
    [expire, revoke, partial(set_active, user_id="alice", active=False), partial(delete_user, user_id="alice")],
    ids=["expired", "revoked", "deactivated", "erased"],
)
async def test_an_ended_token_is_refused_from_the_next_call_on(
    as_alice: Caller, orm: Orm, door: str, end: Callable[[], object]
) -> None:
    task_id = (await as_alice.call(door, "add_task", title="Buy milk"))["data"]["task_id"]
    await orm(end)
    for tool in TOOLS:
        answer = await send(as_alice, door, tool, arguments_of(tool, task_id))
        refused(answer, 401, "unauthenticated")
        assert answer.response.status_code == 401
        assert 'error="invalid_token"' in answer.response.headers["www-authenticate"]


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_a_reactivated_user_may_use_the_old_token(as_alice: Caller, orm: Orm, door: str) -> None:
    for active, code in ((False, 401), (True, 200)):
        await orm(partial(set_active, user_id="alice", active=active))
        assert (await send(as_alice, door, "list_tasks", {})).code == code


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_a_token_allows_exactly_what_its_scopes_allow(as_alice: Caller, orm: Orm, door: str) -> None:
    for scope in FOR_A_USER:
        caller = Caller(as_alice.http, await orm(partial(issue_token, user_id="alice", scopes=[scope])))
        for tool in TOOLS:
            required_scope = "tasks:read" if tool == "list_tasks" else "tasks:write"
            task_id = (await as_alice.call("http", "add_task", title="Buy milk"))["data"]["task_id"]
            answer = await send(caller, door, tool, arguments_of(tool, task_id))
            assert answer.code == (200 if scope == required_scope else 403)
            if answer.code == 403:
                assert required_scope in answer.envelope["message"]
                assert f'scope="{required_scope}"' in answer.response.headers["www-authenticate"]


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_a_missing_scope_is_reported_before_other_errors(as_alice: Caller, orm: Orm, door: str) -> None:
    caller = Caller(as_alice.http, await orm(partial(issue_token, user_id="alice", scopes=["tasks:read"])))
    for arguments in ({}, {"title": ""}, {"x": 1}, {"title": "x", "user_id": "bob"}):
        refused(await send(caller, door, "add_task", arguments), 403, "forbidden")
