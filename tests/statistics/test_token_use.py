"""When a token was last used."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.statistics import another_session
from todo_mcp.auth.tokens import find_token, issue_token, list_tokens, revoke_token
from todo_mcp.statistics.flushing import flush
from todo_mcp.statistics.models import TokenUse
from todo_mcp.statistics.recorder import Recorder
from todo_mcp.statistics.token_use import INTERVAL, TokenUses, last_used, write_uses
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio


def issued(user_id: str = "alice") -> int:
    """The id of a new token."""
    found = find_token(issue_token(user_id=user_id))
    assert found is not None
    return int(found.pk)


def note(*token_ids: int) -> TokenUses:
    used = TokenUses()
    for token_id in token_ids:
        used.touch(token_id)
    return used


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_notes_the_use_of_its_token(as_alice: Caller, as_bob: Caller, orm: Orm, door: str) -> None:
    before = timezone.now()
    await as_alice.call(door, "list_tasks")
    await orm(flush)
    token_id, unused = await orm(lambda: [list_tokens(user_id=user).get().pk for user in ("alice", "bob")])
    used = await orm(lambda: last_used([token_id, unused]))
    assert list(used) == [token_id]
    assert before <= used[token_id] <= timezone.now()


def test_a_worker_notes_a_token_once_in_five_minutes() -> None:
    used = note(1, 1, 1)
    assert list(used.take()) == [1]
    used.touch(1)
    assert used.take() == {}
    used._recorded[1] -= INTERVAL
    used.touch(1)
    assert list(used.take()) == [1]


def test_what_is_older_than_five_minutes_takes_no_memory() -> None:
    used = note(1, 2)
    used._recorded[1] -= INTERVAL
    used.take()
    assert list(used._recorded) == [2]


def test_the_latest_use_wins_whoever_writes_first(committed: None, alice: User) -> None:
    token_id, now = issued(), timezone.now()
    for at in (now, now - timedelta(hours=1)):
        write_uses({token_id: at})
    assert last_used([token_id]) == {token_id: now}


def test_a_token_deleted_meanwhile_does_not_make_the_flush_fail(committed: None, alice: User) -> None:
    gone, kept = issued(), issued()
    used = note(gone, kept)
    revoke_token(token_id=gone)
    flush(Recorder(), used)
    assert list(last_used([gone, kept])) == [kept]


async def test_a_flush_does_not_wait_for_a_token_that_is_being_revoked(alice: User, orm: Orm) -> None:
    going, kept = await orm(issued), await orm(issued)
    used = note(going, kept)
    with another_session(f"DELETE FROM oauth2_provider_accesstoken WHERE id = {going}"):
        await orm(lambda: flush(Recorder(), used))
    assert await orm(lambda: list(last_used([going, kept]))) == [kept]


def test_revoking_a_token_and_erasing_a_user_take_the_use_along(committed: None, alice: User) -> None:
    first, second = issued(), issued()
    flush(Recorder(), note(first, second))
    revoke_token(token_id=first)
    assert list(TokenUse.objects.values_list("pk", flat=True)) == [second]
    alice.delete()
    assert not TokenUse.objects.exists()


def test_the_last_uses_of_many_tokens_are_one_query(
    committed: None, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    tokens = [issued() for _ in range(5)]
    flush(Recorder(), note(*tokens))
    with django_assert_num_queries(1):
        assert sorted(last_used(iter(tokens))) == tokens
