"""The log line of a call says which task the call was about, and nothing of the task's text."""

import json
import logging
from typing import Any

import pytest

from tests.support.caller import DOORS, Caller
from todo_mcp.calls import perform
from todo_mcp.telemetry.logs import Formatter

pytestmark = pytest.mark.anyio

WORDS = "words of a task"


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, perform.__name__)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    records = [record for record in caplog.records if record.name == perform.__name__ and record.message == "call"]
    return [json.loads(Formatter().format(record)) for record in records]


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_about_one_task_logs_its_id(as_alice: Caller, door: str, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("add_task", {"title": WORDS, "description": WORDS}),
        ("add_task", {"title": WORDS, "idempotency_key": "a-key-of-hers"}),
        ("add_task", {"title": WORDS, "idempotency_key": "a-key-of-hers"}),
    ]
    ids = [(await as_alice.call(door, tool, **arguments))["data"]["task_id"] for tool, arguments in calls]
    assert ids[1] == ids[2]
    for tool, arguments in (
        ("update_task", {"task_id": ids[0], "title": WORDS}),
        ("complete_task", {"task_id": ids[0]}),
        ("complete_task", {"task_id": str(ids[0])}),
        ("delete_task", {"task_id": ids[0]}),
    ):
        assert (await as_alice.call(door, tool, **arguments))["status"] == "success"
        ids.append(ids[0])
    assert [line["task_id"] for line in lines(caplog)] == ids
    assert all(type(line["task_id"]) is int for line in lines(caplog))
    assert WORDS not in json.dumps(lines(caplog))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("tool", ["complete_task", "delete_task", "update_task"])
async def test_a_task_that_does_not_exist_is_logged_by_the_id_that_was_sent(
    as_alice: Caller, door: str, tool: str, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = {"title": "x"} if tool == "update_task" else {}
    await as_alice.call(door, tool, task_id=2**62, **arguments)
    assert [(line["outcome"], line["task_id"]) for line in lines(caplog)] == [("task_not_found", 2**62)]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_tasks", {}),
        ("add_task", {"title": ""}),
        ("add_task", {"title": "x", "task_id": WORDS}),
        ("complete_task", {}),
        ("complete_task", {"task_id": WORDS}),
        ("complete_task", {"task_id": [WORDS]}),
        ("update_task", {"task_id": WORDS, "title": WORDS}),
    ],
    ids=str,
)
async def test_a_call_that_names_no_valid_id_logs_none(
    as_alice: Caller, tool: str, arguments: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    for door in DOORS:
        await as_alice.call(door, tool, **arguments)
    assert len(lines(caplog)) == len(DOORS)
    assert not [line for line in lines(caplog) if "task_id" in line]
    assert WORDS not in json.dumps(lines(caplog))
