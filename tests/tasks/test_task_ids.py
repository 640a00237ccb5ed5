"""task_id: an integer, or the same as a string of digits. No other value ever acts on a task."""

from functools import partial
from typing import Any

import pytest

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from tests.support.tool_calls import arguments_of, everything_of, refused, send
from todo_mcp.users.models import User

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]

TOOLS_WITH_ID = ("complete_task", "delete_task", "update_task")
# Some parser reads each of these as 1, and task 1 exists.
LOOKS_LIKE_ONE: list[Any] = [
    True, "1.0", "1e0", "+1", " 1", "1 ", "1\n", "\uff11", "\u0661", "0x1", "0b1", "1_", "¹", "I",
    "one", [1], {"id": 1}, ["1"], "-1", -1, "true", "1\u200b", "\u200b1", "1\x00", "1,0", "01.",
]  # fmt: skip
OUT_OF_RANGE: list[Any] = [
    0,
    "0",
    "00",
    -1,
    -(2**63),
    2**63,
    str(2**63),
    2**63 + 1,
    2**64 + 1,
    10**30,
    "9" * 21,
    10**999,
]
NO_ID: list[Any] = [None, False, "", " ", [], {}, float("1e300"), 1.5, "nan", "\ud800", "task 1", "1; DROP TABLE tasks"]


@pytest.mark.parametrize("tool", TOOLS_WITH_ID)
async def test_an_invalid_id_is_refused_and_changes_nothing(
    as_alice: Caller, alice: User, orm: Orm, door: str, tool: str
) -> None:
    await orm(lambda: TaskFactory.create(id=1, user=alice))
    before = await orm(lambda: everything_of("alice"))
    for task_id in (*LOOKS_LIKE_ONE, *OUT_OF_RANGE, *NO_ID):
        answer = await send(as_alice, door, tool, arguments_of(tool, task_id))
        refused(answer, 400, "invalid_arguments", "task_id")
    for number in ("1.5", "0.0", "1E400", "-0", "-0.0", "1" * 4000):  # as JSON texts
        arguments = f'{{"task_id": {number}, "title": "New"}}' if tool == "update_task" else f'{{"task_id": {number}}}'
        refused(await send(as_alice, door, tool, arguments), 400, "invalid_arguments", "task_id")
    assert await orm(lambda: everything_of("alice")) == before


@pytest.mark.parametrize("tool", TOOLS_WITH_ID)
async def test_an_id_may_be_a_string_of_digits_or_a_number_with_a_point(
    as_alice: Caller, alice: User, orm: Orm, door: str, tool: str
) -> None:
    for argument, task_id in (
        ("7", 7),
        ("008", 8),
        (9.0, 9),
        (float(2**53), 2**53),
        (str(2**63 - 1), 2**63 - 1),
        (2**63 - 2, 2**63 - 2),
    ):
        await orm(partial(TaskFactory.create, id=task_id, user=alice))
        envelope = await as_alice.call(door, tool, **arguments_of(tool, argument))
        assert envelope["data"]["task_id"] == task_id


@pytest.mark.parametrize("tool", TOOLS_WITH_ID)
async def test_an_unknown_id_in_range_is_not_found(as_alice: Caller, door: str, tool: str) -> None:
    for task_id in (1, "1", 2**31, 2**53 + 1, 2**63 - 1, str(2**63 - 1)):
        answer = await send(as_alice, door, tool, arguments_of(tool, task_id))
        refused(answer, 404, "task_not_found")
        assert answer.envelope["message"] == f"Task {task_id} not found. Call list_tasks to see valid ids."
