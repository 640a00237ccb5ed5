"""What each token did, by day and client."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.statistics import another_session
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import issue_token, list_tokens, revoke_token, token_by_value
from todo_mcp.core.errors import InternalError, InvalidArguments
from todo_mcp.operators.user_data import delete_user
from todo_mcp.statistics.flushing import flush
from todo_mcp.statistics.models import TokenDay
from todo_mcp.statistics.recorder import OTHER
from todo_mcp.statistics.token_days import CLIENTS_MAX, TokenDays, days_of, write_days
from todo_mcp.users.models import User


def new_token_id(user_id: str | None = "alice") -> int:
    token = issue_token(user_id=user_id, service=None if user_id else "chat")
    return token_by_value(token) or 0


def did(token_id: int, *clients: str, user_id: str | None = "alice") -> TokenDays:
    """One read of each of these clients."""
    days = TokenDays()
    for client in clients:
        days.count(token_id, user_id, client, None, read_only=True)
    return days


def stored(token_id: int) -> list[tuple[str, int, int, int, int]]:
    return list(days_of(token_id).values_list("client", "reads", "writes", "refused", "failed"))


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_calls_count_as_reads_writes_and_refusals_of_their_token(
    as_alice: Caller, as_bob: Caller, orm: Orm, door: str
) -> None:
    for _ in range(2):
        await as_alice.call(door, "list_tasks")
    await as_alice.call(door, "add_task", title="Buy milk")
    await as_alice.post("complete_task", task_id=10**9)
    await orm(flush)
    mine, other = await orm(lambda: [list_tokens(user_id=user).get().pk for user in ("alice", "bob")])
    rows = await orm(lambda: stored(mine))
    assert [sum(numbers) for numbers in zip(*(row[1:] for row in rows), strict=True)] == [2, 1, 1, 0]
    assert await orm(lambda: stored(other)) == []
    assert await orm(lambda: TokenDay.objects.values_list("user", "day")[0]) == ("alice", datetime.now(UTC).date())


def test_a_failure_of_the_server_is_no_refusal(committed: None, alice: User) -> None:
    token_id, days = new_token_id(), TokenDays()
    for error in (InvalidArguments({"title": "is missing"}), InternalError("request")):
        days.count(token_id, "alice", "curl", error, read_only=False)
    write_days(days.take())
    assert stored(token_id) == [("curl", 0, 0, 1, 1)]


def test_a_jwt_is_not_counted() -> None:
    days = TokenDays()
    days.count(None, "alice", "curl", None, read_only=True)
    assert not days.take()


def test_a_service_token_is_counted_without_a_user(committed: None) -> None:
    token_id = new_token_id(user_id=None)
    write_days(did(token_id, "chat", user_id=None).take())
    assert stored(token_id) == [("chat", 1, 0, 0, 0)]


def test_days_are_those_of_utc_and_the_latest_comes_first(
    committed: None, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_id = new_token_id()
    for at in (datetime(2026, 11, 26, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 27, tzinfo=UTC)):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", at.timestamp)
            counted = did(token_id, "curl")
        write_days(counted.take())
    assert [f"{row.day}" for row in days_of(token_id)] == ["2026-11-27", "2026-11-26"]


def test_a_token_has_at_most_20_clients_a_day_and_the_others_are_added_up(committed: None, alice: User) -> None:
    token_id, other_id = new_token_id(), new_token_id()
    names = [f"client-{number:03}" for number in range(15)]
    write_days(did(token_id, *names).take())
    write_days(did(token_id, *(f"later-{number:03}" for number in range(100)), *names).take())
    write_days(did(other_id, "curl").take())
    rows = dict(days_of(token_id).values_list("client", "reads"))
    assert len(rows) == CLIENTS_MAX + 1 and sum(rows.values()) == 130
    assert [rows[name] for name in names[:5]] == [1] * 5 and rows[OTHER] == 130 - 15 - 5
    assert stored(other_id) == [("curl", 1, 0, 0, 0)]


def test_a_client_that_is_stored_stays_itself_when_the_names_are_used_up(committed: None, alice: User) -> None:
    token_id = new_token_id()
    write_days(did(token_id, *(f"client-{number:03}" for number in range(CLIENTS_MAX))).take())
    write_days(did(token_id, "a new one", "client-019").take())
    rows = dict(days_of(token_id).values_list("client", "reads"))
    assert rows["client-019"] == 2 and rows[OTHER] == 1 and "a new one" not in rows


def test_between_two_flushes_a_token_takes_memory_for_20_clients(committed: None) -> None:
    [clients] = did(1, *(f"client-{number}" for number in range(1000))).take().values()
    assert len(clients) == CLIENTS_MAX + 1 and clients[OTHER][0] == 1000 - CLIENTS_MAX


def erase(token_id: int) -> None:
    delete_user(user_id="alice")


def revoke(token_id: int) -> None:
    revoke_token(token_id=token_id, cause=Cause(By.COMMAND))


@pytest.mark.parametrize(("end", "rows"), [(revoke, 1), (erase, 0)])
def test_a_flush_survives_a_token_that_was_revoked_or_whose_user_was_erased(
    committed: None, alice: User, bob: User, end: Callable[[int], None], rows: int
) -> None:
    token_id, other_id = new_token_id(), new_token_id("bob")
    counts = did(token_id, "curl").take() | did(other_id, "curl", user_id="bob").take()
    end(token_id)
    write_days(counts)
    assert len(stored(token_id)) == rows and len(stored(other_id)) == 1


@pytest.mark.anyio
async def test_a_flush_does_not_wait_for_a_user_who_is_being_erased(alice: User, orm: Orm) -> None:
    token_id = await orm(new_token_id)
    with another_session("SELECT FROM users WHERE id = 'alice' FOR UPDATE"):
        await orm(lambda: write_days(did(token_id, "curl").take()))
    assert await orm(lambda: stored(token_id)) == []


def test_the_days_stay_when_the_token_is_revoked_and_go_with_the_user_or_after_90_days(
    committed: None, alice: User, bob: User
) -> None:
    for user_id in ("alice", "bob"):
        token_id = new_token_id(user_id)
        write_days(did(token_id, "curl", user_id=user_id).take())
        revoke(token_id)
    delete_user(user_id="alice")
    assert [row.user_id for row in TokenDay.objects.all()] == ["bob"]
    call_command("purge", verbosity=0)
    assert TokenDay.objects.exists()
    TokenDay.objects.update(day=timezone.now().date() - timedelta(days=91))
    call_command("purge", verbosity=0)
    assert not TokenDay.objects.exists()
