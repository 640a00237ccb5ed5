"""Arguments that clients and models leave out by a value, and arguments that clients add by themselves."""

from typing import Any

import pytest

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from tests.support.tool_calls import TOOLS, arguments_of, everything_of, refused, send
from todo_mcp.core.arguments import ADDED_BY_CLIENTS
from todo_mcp.core.operations import REGISTRY
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

EMPTY: tuple[Any, ...] = (None, "", [])
OPTIONAL = {
    tool: [name for name, field in operation.arguments.model_fields.items() if not field.is_required()]
    for tool, operation in REGISTRY.items()
}
REQUIRED = {tool: operation.input_schema.get("required", []) for tool, operation in REGISTRY.items()}
IDS = ("conversation_id", "message_id")
ADDED_VALUES: tuple[Any, ...] = (None, "", "call_1", 0, 7, True, [], ["x"], {}, {"progressToken": 1})


@pytest.fixture
def task_id(committed: None, alice: User) -> int:
    return int(TaskFactory.create(user=alice, title="Buy milk", description="Two litres").pk)


async def good(orm: Orm, tool: str, task_id: int) -> dict[str, Any]:
    """Arguments with which the tool succeeds, also if it was called before: delete_task gets a new task."""
    if tool == "delete_task":
        task_id = await orm(lambda: TaskFactory.create(user_id="alice").pk)
    return arguments_of(tool, task_id)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("tool", TOOLS)
async def test_an_empty_value_leaves_out_each_optional_argument(
    as_alice: Caller, orm: Orm, task_id: int, door: str, tool: str
) -> None:
    for empty in EMPTY:
        arguments = await good(orm, tool, task_id)
        left_out = {name: empty for name in OPTIONAL[tool] if name not in arguments}
        plain = await send(as_alice, door, tool, {**left_out, **arguments})
        assert (plain.code, plain.envelope["status"]) == (200, "success"), plain.envelope


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("tool", TOOLS)
async def test_an_empty_value_does_not_replace_a_required_argument(
    as_alice: Caller, orm: Orm, task_id: int, door: str, tool: str
) -> None:
    before = await orm(lambda: everything_of("alice"))
    for name in REQUIRED[tool]:
        for empty in (*EMPTY, *([0, 0.0, "0"] if name == "task_id" else [])):
            refused(
                await send(as_alice, door, tool, {**arguments_of(tool, task_id), name: empty}),
                400,
                "invalid_arguments",
                name,
            )
    assert await orm(lambda: everything_of("alice")) == before


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("tool", TOOLS)
async def test_a_service_must_still_name_its_user(
    as_service: Caller, orm: Orm, task_id: int, door: str, tool: str
) -> None:
    for empty in EMPTY:
        answer = await send(as_service, door, tool, {**arguments_of(tool, task_id), "user_id": empty})
        refused(answer, 400, "invalid_arguments", "user_id")


@pytest.mark.parametrize("door", DOORS)
async def test_zero_leaves_out_an_id(as_alice: Caller, orm: Orm, task_id: int, door: str) -> None:
    for zero in (0, 0.0, "0"):
        user = {} if zero == "0" else {"user_id": zero}  # a user's id is text, and may be "0"
        envelope = await as_alice.call(door, "add_task", title="x", **dict.fromkeys(IDS, zero), **user)
        assert envelope["status"] == "success"
    refused(await send(as_alice, door, "list_tasks", {"limit": 0}), 400, "invalid_arguments", "limit")


@pytest.mark.parametrize("door", DOORS)
async def test_the_words_null_and_none_stay_text(as_alice: Caller, orm: Orm, task_id: int, door: str) -> None:
    for word in ("null", "None", "undefined", "[]", "0"):
        data = (await as_alice.call(door, "add_task", title=word, description=word))["data"]
        tasks = (await as_alice.call(door, "list_tasks", limit=1))["data"]["tasks"]
        assert [(task["task_id"], task["title"], task["description"]) for task in tasks] == [
            (data["task_id"], word, word)
        ]
    refused(await send(as_alice, door, "list_tasks", {"status": "null"}), 400, "invalid_arguments", "status")
    refused(await send(as_alice, door, "list_tasks", {"user_id": "null"}), 403, "forbidden")


@pytest.mark.parametrize("door", DOORS)
async def test_a_whole_number_may_be_written_with_a_point(as_alice: Caller, orm: Orm, task_id: int, door: str) -> None:
    envelope = await as_alice.call(door, "complete_task", task_id=float(task_id))
    assert (envelope["data"]["task_id"], type(envelope["data"]["task_id"])) == (task_id, int)
    for other in (task_id + 0.5, f"{task_id}.0", True, 2.0**53 + 2, 1e300):
        answer = await send(as_alice, door, "complete_task", {"task_id": other})
        refused(answer, 400, "invalid_arguments", "task_id")
    for rounded in (f"{task_id}.00000000000000000000001", "9007199254740991.9999", "9007199254740993.0"):
        answer = await send(as_alice, door, "complete_task", f'{{"task_id": {rounded}}}')
        refused(answer, 400, "invalid_arguments", "task_id")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("tool", TOOLS)
async def test_an_argument_that_clients_add_is_dropped(
    as_alice: Caller, orm: Orm, task_id: int, door: str, tool: str
) -> None:
    for value in ADDED_VALUES:
        arguments = await good(orm, tool, task_id) | dict.fromkeys(ADDED_BY_CLIENTS, value)
        answer = await send(as_alice, door, tool, arguments)
        assert (answer.code, answer.envelope["status"]) == (200, "success"), answer.envelope
    for name in ("toolcallid", "tool_call_id", "meta", "randomString", "_meta ", "_meta.x"):
        answer = await send(as_alice, door, tool, {**arguments_of(tool, task_id), name: None})
        refused(answer, 400, "invalid_arguments", name)


@pytest.mark.parametrize("door", DOORS)
async def test_one_key_with_arguments_left_out_in_two_ways_is_the_same_call(
    as_alice: Caller, orm: Orm, door: str
) -> None:
    forms: list[dict[str, Any]] = [
        {},
        {"description": None, "conversation_id": 0},
        {"description": "", "message_id": None, "toolCallId": "call_2"},
    ]
    ids = {
        (await as_alice.call(door, "add_task", title="x", idempotency_key="one-key-1", **form))["data"]["task_id"]
        for form in forms
    }
    assert len(ids) == 1
