"""The new writes through every door: plain HTTP, and MCP in each revision. Everything else is tested without a door."""

import pytest

from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.tool_calls import everything_of, refused, send

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]


async def test_a_repeating_task_lives_through_all_writes_and_back(as_alice: Caller, orm: Orm, door: str) -> None:
    zone = await as_alice.call(door, "update_task", time_zone="Europe/Berlin")
    assert zone["data"]["time_zone"] == "Europe/Berlin"
    tasks = [{"title": "Water", "repeat": "every day at 23:59", "checklist": ["Fern"]}, {"title": "Call Eve"}]
    added = (await as_alice.call(door, "add_task", tasks=tasks))["data"]
    water, call = (task["task_id"] for task in added["tasks"])
    change = {"add_tags": ["home"], "priority": "high", "check": ["*"]}
    updated = (await as_alice.call(door, "update_task", task_id=water, **change))["data"]
    assert updated["checklist"] == [{"text": "Fern", "done": True}]
    done = (await as_alice.call(door, "complete_task", task_ids=[water, call, 10**9]))["data"]
    assert (done["not_found"], len(done["tasks"])) == ([10**9], 2)
    next_id = done["tasks"][0]["next"]["task_id"]
    assert (await orm(lambda: Task.objects.get(pk=next_id))).tags == ["home"]
    for name in (done["undo"], updated["undo"], added["undo"]):
        undone = await as_alice.call(door, "update_task", undo=name)
        assert undone["data"]["undo"]
        again = await as_alice.call(door, "update_task", undo=name)
        assert again["message"].startswith("This call was taken back before. Nothing changed.")
    assert await orm(lambda: Task.objects.filter(deleted_at=None).count()) == 0


async def test_refusals_carry_what_the_caller_needs(as_alice: Caller, as_bob: Caller, orm: Orm, door: str) -> None:
    added = (await as_alice.call(door, "add_task", title="Water", due="tomorrow"))["data"]
    task_id = added["task_id"]
    await as_alice.call(door, "update_task", task_id=task_id, priority="low")
    before = await orm(lambda: everything_of("alice"))
    conflict = await send(as_alice, door, "delete_task", {"task_id": task_id, "expected_version": 1})
    refused(conflict, 409, "version_conflict")
    assert conflict.envelope["data"]["current"]["version"] == 2
    undo = await send(as_alice, door, "update_task", {"undo": added["undo"]})
    refused(undo, 409, "version_conflict")
    assert undo.envelope["data"]["conflicts"] == [{"task_id": task_id, "title": "Water"}]
    day = await send(as_alice, door, "update_task", {"task_id": task_id, "due": "someday"})
    refused(day, 400, "invalid_arguments", "due")
    assert {"now", "weekday", "time_zone", "time_zone_unknown"} <= day.envelope["data"].keys()
    batch = await send(as_alice, door, "add_task", {"tasks": [{"title": "x"}, {"title": "y", "due": "3/4"}]})
    refused(batch, 400, "invalid_arguments", "tasks.1.due")
    refused(await send(as_bob, door, "update_task", {"undo": added["undo"]}), 400, "invalid_arguments", "undo")
    refused(await send(as_bob, door, "complete_task", {"task_ids": [task_id]}), 404, "task_not_found")
    assert await orm(lambda: everything_of("alice")) == before
