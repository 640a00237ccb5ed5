"""Versions: each change adds one, expected_version guards a change, and nothing is overwritten unseen."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from tasks.models import Task
from tests.support.tool_user import ToolUser

TOOLS: list[tuple[str, dict[str, Any]]] = [
    ("complete_task", {}),
    ("delete_task", {}),
    ("update_task", {"title": "New"}),
    ("update_task", {"due": "friday", "add_tags": ["x"]}),
    ("update_task", {"reopen": True, "title": "New"}),
]


@pytest.mark.parametrize(("tool", "change"), TOOLS)
def test_an_expected_version_guards_the_change(
    me: ToolUser, other: ToolUser, tool: str, change: dict[str, Any]
) -> None:
    task_id = me.add(due="tomorrow")["task_id"]
    me.update(task_id=task_id, description="Changed meanwhile")
    for wrong in (1, 3, 2**31 - 1):
        conflict = me.refused(tool, "version_conflict", task_id=task_id, expected_version=wrong, **change)
        assert (conflict["error_code"], conflict["current"]["version"]) == (409, 2)
        assert (conflict["current"]["task_id"], conflict["current"]["due"]) == (task_id, "2026-11-22")
        assert conflict["current"]["description"] == "Changed meanwhile"
    other.refused(tool, "task_not_found", task_id=task_id, expected_version=1, **change)
    me.invalid(tool, "expected_version", task_id=task_id, expected_version=2**31, **change)
    me.invalid(tool, "expected_version", task_id=task_id, expected_version="two", **change)
    data = me.done(tool, task_id=task_id, expected_version="2", **change)
    assert data["version"] == 3
    assert me.row(task_id)["version"] == 3


def test_raw_sql_and_an_older_release_count_too(me: ToolUser) -> None:
    task_id = me.add()["task_id"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET title = 'Raw', updated_at = now() WHERE id = %s", [task_id])
        assert me.row(task_id)["version"] == 2
        cursor.execute("UPDATE tasks SET title = 'Raw', updated_at = now() WHERE id = %s", [task_id])
        assert me.row(task_id)["version"] == 2, "nothing that a person sees has changed"
        cursor.execute("UPDATE tasks SET version = 1, title = 'Back' WHERE id = %s", [task_id])
    assert me.row(task_id)["version"] == 3


def test_a_change_that_changes_nothing_has_no_new_version(me: ToolUser) -> None:
    task_id = me.add("Same", tags=["x"])["task_id"]
    before = me.row(task_id)
    for change in ({"title": "Same"}, {"add_tags": ["X"]}, {"reopen": True}, {"restore": True}, {"priority": "none"}):
        data = me.update(task_id=task_id, **change)
        assert (data["updated_fields"], data["version"]) == ([], 1)
        assert "Nothing changed" in data["message"]
        assert "undo" not in data
    assert me.row(task_id) == before


def test_every_write_gives_the_version_that_is_stored(me: ToolUser) -> None:
    task_id = me.add()["task_id"]
    writes: list[Callable[[], dict[str, Any]]] = [
        lambda: me.update(task_id=task_id, title="New"),
        lambda: me.update(task_id=task_id, due="today"),
        lambda: me.complete(task_id=task_id),
        lambda: me.update(task_id=task_id, reopen=True),
        lambda: me.delete(task_id=task_id),
        lambda: me.update(task_id=task_id, restore=True),
    ]
    for number, write in enumerate(writes, start=2):
        assert write()["version"] == Task.objects.get().version == number
