"""The time of a token's last use."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.statistics import another_session
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import find_token, issue_token, list_tokens, revoke_token
from todo_mcp.statistics.flushing import flush
from todo_mcp.statistics.models import TokenUse
from todo_mcp.statistics.recorder import Recorder
from todo_mcp.statistics.token_use import INTERVAL, TokenUses, last_used, write_uses
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio


def new_token_id(user_id: str = "alice") -> int:
    """The id of a new token."""
    record = find_token(issue_token(user_id=user_id))
    assert record is not None
    return int(record.pk)


def uses_of(*token_ids: int) -> TokenUses:
    uses = TokenUses()
    for token_id in token_ids:
        uses.touch(token_id)
    return uses


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_notes_the_use_of_its_token(as_alice: Caller, as_bob: Caller, orm: Orm, door: str) -> None:
    before = timezone.now()
    await as_alice.call(door, "list_tasks")
    await orm(flush)
    token_id, unused = await orm(lambda: [list_tokens(user_id=user).get().pk for user in ("alice", "bob")])
    uses = await orm(lambda: last_used([token_id, unused]))
    assert list(uses) == [token_id]
    assert before <= uses[token_id] <= timezone.now()


def test_a_worker_notes_a_token_once_in_five_minutes() -> None:
    uses = uses_of(1, 1, 1)
    assert list(uses.take()) == [1]
    uses.touch(1)
    assert uses.take() == {}
    uses._recorded[1] -= INTERVAL
    uses.touch(1)
    assert list(uses.take()) == [1]


def test_uses_older_than_five_minutes_take_no_memory() -> None:
    uses = uses_of(1, 2)
    uses._recorded[1] -= INTERVAL
    uses.take()
    assert list(uses._recorded) == [2]


def test_the_latest_use_wins_in_any_order_of_writing(committed: None, alice: User) -> None:
    token_id, now = new_token_id(), timezone.now()
    for at in (now, now - timedelta(hours=1)):
        write_uses({token_id: at})
    assert last_used([token_id]) == {token_id: now}


def test_a_token_deleted_meanwhile_does_not_make_the_flush_fail(committed: None, alice: User) -> None:
    deleted_id, other_id = new_token_id(), new_token_id()
    uses = uses_of(deleted_id, other_id)
    revoke_token(token_id=deleted_id, cause=Cause(By.COMMAND))
    flush(Recorder(), uses)
    assert list(last_used([deleted_id, other_id])) == [other_id]


async def test_a_flush_does_not_wait_for_a_token_that_is_being_revoked(alice: User, orm: Orm) -> None:
    revoked_id, other_id = await orm(new_token_id), await orm(new_token_id)
    uses = uses_of(revoked_id, other_id)
    with another_session(f"DELETE FROM oauth2_provider_accesstoken WHERE id = {revoked_id}"):
        await orm(lambda: flush(Recorder(), uses))
    assert await orm(lambda: list(last_used([revoked_id, other_id]))) == [other_id]


def test_revoking_a_token_or_erasing_its_user_deletes_its_use(committed: None, alice: User) -> None:
    first, second = new_token_id(), new_token_id()
    flush(Recorder(), uses_of(first, second))
    revoke_token(token_id=first, cause=Cause(By.COMMAND))
    assert list(TokenUse.objects.values_list("pk", flat=True)) == [second]
    alice.delete()
    assert not TokenUse.objects.exists()


def test_the_last_uses_of_many_tokens_take_one_query(
    committed: None, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    tokens = [new_token_id() for _ in range(5)]
    flush(Recorder(), uses_of(*tokens))
    with django_assert_num_queries(1):
        assert sorted(last_used(iter(tokens))) == tokens
