"""Whose share of the places at the gate a request uses. Strangers with invented tokens have one share together."""

from typing import Any

import pytest

from tests.support.application import Orm
from tests.support.auth.issuers import EC, Configure, claims, signed
from todo_mcp.auth.jwt.tokens import _seen, verify
from todo_mcp.auth.tokens import issue_token
from todo_mcp.calls.owners import UNKNOWN, owner_of_call, owner_of_token
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.places import Owner
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def new_worker() -> None:
    _seen.clear()


async def owner(token: str, target: str | None = None) -> Owner:
    gate = DatabaseGate(1, 1.0)
    try:
        return await owner_of_call(gate, token, lambda: target)
    finally:
        await gate.close()


def forged(**changes: Any) -> str:
    """A token that a stranger signed."""
    return signed(claims(**changes), EC, "ES256")


@pytest.mark.parametrize("invented", [{"sub": f"nobody-{n}"} for n in range(3)] + [{"iss": "https://nobody.example"}])
async def test_an_invented_jwt_has_the_share_of_unknown_tokens(configure: Configure, invented: dict[str, str]) -> None:
    configure(act_as_clients=["chat"])
    token = forged(**invented)
    with pytest.raises(Unauthenticated):
        verify(token)
    assert await owner(token) == owner_of_token(token) == UNKNOWN


async def test_a_jwt_has_the_share_of_its_user_after_the_first_of_that_user(configure: Configure) -> None:
    configure()
    assert await owner(signed()) == UNKNOWN
    verify(signed())
    assert await owner(signed(claims(jti="another"))) == "alice"
    assert await owner(signed(claims(sub="bob"))) == UNKNOWN


async def test_only_a_jwt_of_a_service_that_was_verified_may_name_a_user(configure: Configure) -> None:
    configure(act_as_clients=["chat"])
    token = signed(claims(sub="chat", client_id="chat"))
    verify(token)
    assert (await owner(token, "bob"), await owner(token)) == ("bob", ("service", "chat"))
    assert await owner(forged(sub="chat", client_id="chat"), "bob") == UNKNOWN


async def test_an_opaque_token_is_looked_up_first(orm: Orm, alice: User) -> None:
    token = await orm(lambda: issue_token(user_id="alice"))
    assert owner_of_token(token) == UNKNOWN
    assert await owner(token) == owner_of_token(token) == "alice"
    with pytest.raises(Unauthenticated):
        await owner("todo_nobody")


async def test_a_service_uses_the_share_of_the_user_whom_it_names(orm: Orm) -> None:
    token = await orm(lambda: issue_token(service="chat"))
    assert (await owner(token, "alice"), await owner(token)) == ("alice", ("service", "chat"))
