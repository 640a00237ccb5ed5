"""user_id: optional with a personal token ("me" or its own id), required with a service token, compared by bytes."""

from typing import Any

import pytest

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory, UserFactory
from tests.support.tool_calls import TOOLS, arguments_of, everything_of, refused, send
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.services import create_user, set_active

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]

# These ids look equal, or are equal for a case-insensitive collation or a Unicode normaliser. Their bytes differ.
# After "alice.": full width, a Cyrillic first letter, a soft hyphen, and two forms with an accent.
LOOKALIKES = (
    "alice", "Alice", "alice.", "\uff41\uff4c\uff49\uff43\uff45", "\u0430lice",
    "ali\u00adce", "alic\u00e9", "alice\u0301",
)  # fmt: skip
COMPOSED, DECOMPOSED = "Jos\u00e9", "Jose\u0301"
MALFORMED: list[Any] = [
    1, True, 1.5, ["alice"], {"id": "alice"}, "x" * 256,
    "ali\x00ce", "\x1balice", "alice\r", "\ud800", "a\udfff",
]  # fmt: skip


async def test_a_personal_token_may_omit_user_id_or_send_me_or_its_own_id(
    as_alice: Caller, orm: Orm, door: str
) -> None:
    for tool in TOOLS:
        for user_id in ({}, {"user_id": "me"}, {"user_id": "alice"}):
            task_id = (await as_alice.call("http", "add_task", title="Buy milk"))["data"]["task_id"]
            assert (await send(as_alice, door, tool, {**arguments_of(tool, task_id), **user_id})).code == 200


async def test_a_personal_token_cannot_name_another_user_even_one_that_does_not_exist(
    as_alice: Caller, as_bob: Caller, orm: Orm, door: str
) -> None:
    lookalikes = [name for name in LOOKALIKES if name != "alice"]
    deactivated_id = await orm(lambda: UserFactory.create(id="gone", is_active=False).pk)
    for tool in TOOLS:
        answers = []
        for user_id in ("bob", "no-one", deactivated_id, "Me", "ME", " me", "me ", " alice", "alice ", *lookalikes):
            answers.append(await send(as_alice, door, tool, {**arguments_of(tool), "user_id": user_id}))
            refused(answers[-1], 403, "forbidden")
        assert all(answer.envelope == answers[0].envelope for answer in answers)
        assert all(answer.response.status_code == answers[0].response.status_code for answer in answers)


async def test_ids_that_only_look_the_same_are_different_users(as_service: Caller, orm: Orm, door: str) -> None:
    names = (*LOOKALIKES, COMPOSED, DECOMPOSED, "Straße", "STRASSE", "\u017f", "s")
    await orm(lambda: [UserFactory.create(id=name) for name in names])
    for name in names:
        await as_service.call(door, "add_task", title=f"Of {name}", user_id=name)
    for name in names:
        tasks = (await as_service.call(door, "list_tasks", user_id=name))["data"]["tasks"]
        assert [task["title"] for task in tasks] == [f"Of {name}"]


async def test_a_composed_and_a_decomposed_name_are_two_users_to_a_personal_token(
    as_service: Caller, orm: Orm, door: str
) -> None:
    await orm(lambda: [UserFactory.create(id=name) for name in (COMPOSED, DECOMPOSED)])
    token = await orm(lambda: issue_token(user_id=COMPOSED))
    composed = Caller(as_service.http, token)
    refused(await send(composed, door, "list_tasks", {"user_id": DECOMPOSED}), 403, "forbidden")
    assert (await composed.call(door, "list_tasks", user_id=COMPOSED))["status"] == "success"


async def test_a_service_must_name_a_user_who_exists_and_is_active(as_service: Caller, orm: Orm, door: str) -> None:
    await orm(lambda: create_user(user_id="dana"))
    await orm(lambda: set_active(user_id="dana", active=False))
    for tool in TOOLS:
        for user_id in ({}, {"user_id": "me"}):
            answer = await send(as_service, door, tool, {**arguments_of(tool), **user_id})
            refused(answer, 400, "invalid_arguments", "user_id")
        refused(await send(as_service, door, tool, {**arguments_of(tool), "user_id": "no-one"}), 404, "user_not_found")
        refused(await send(as_service, door, tool, {**arguments_of(tool), "user_id": "dana"}), 403, "forbidden")


async def test_the_error_names_a_malformed_user_id_for_every_kind_of_token(
    as_alice: Caller, as_service: Caller, orm: Orm, door: str
) -> None:
    for caller in (as_alice, as_service):
        for tool in TOOLS:
            for user_id in MALFORMED:
                answer = await send(caller, door, tool, {**arguments_of(tool), "user_id": user_id})
                refused(answer, 400, "invalid_arguments", "user_id")
    assert await orm(lambda: everything_of("alice")) == []


async def test_the_longest_id_works(as_service: Caller, orm: Orm, door: str) -> None:
    name = "🥛" * 255
    await orm(lambda: TaskFactory.create(user=UserFactory.create(id=name)))
    assert (await as_service.call(door, "list_tasks", user_id=name))["data"]["total"] == 1
