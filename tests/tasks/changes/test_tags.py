"""update_task with tags and priority: compared without case, kept as first written, at most ten."""

from typing import Any

import pytest
from django.db import connection

from tasks.models import TaskTag
from tests.support.tag_rows import wrong_tag_rows
from tests.support.tool_user import ToolUser


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"add_tags": ["Phone"]}, ["Home", "work", "Phone"]),
        ({"add_tags": ["HOME", "phone", "Phone"]}, ["Home", "work", "phone"]),
        ({"remove_tags": ["home", "unknown"]}, ["work"]),
        ({"remove_tags": ["home"], "add_tags": ["HOME"]}, ["work", "HOME"]),
        ({"tags": ["x", "X", "y"]}, ["x", "y"]),
        ({"tags": ["x"], "add_tags": ["z"], "remove_tags": ["x"]}, ["z"]),
        ({"clear": ["tags"]}, []),
        ({"add_tags": ["Straße"], "remove_tags": ["STRASSE"]}, ["Home", "work", "Straße"]),
        ({"remove_tags": ["\uff37ORK"]}, ["Home"]),
    ],
)
def test_tags_change_as_asked(me: ToolUser, change: dict[str, Any], expected: list[str]) -> None:
    task_id = me.add(tags=["Home", "work"])["task_id"]
    data = me.update(task_id=task_id, **change)
    assert (data["updated_fields"], data.get("tags", [])) == (["tags"], expected)
    assert me.row(task_id)["tags"] == expected
    me.undo(data["undo"])
    assert me.row(task_id)["tags"] == ["Home", "work"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"add_tags": [f"t{n}" for n in range(9)]}, "add_tags"),
        ({"add_tags": ["no/slash"]}, "add_tags.0"),
        ({"remove_tags": ["x" * 31]}, "remove_tags.0"),
        ({"tags": ["a", None]}, "tags.1"),
        ({"add_tags": ["x"], "clear": ["tags"]}, "clear"),
        ({"clear": ["labels"]}, "clear.0"),
        ({"priority": "urgent"}, "priority"),
        ({"priority": "low", "clear": ["priority"]}, "clear"),
    ],
)
def test_what_cannot_be_is_refused(me: ToolUser, change: dict[str, Any], field: str) -> None:
    me.invalid("update_task", field, task_id=me.add(tags=["Home", "work"])["task_id"], **change)


def test_a_priority_is_set_and_emptied(me: ToolUser) -> None:
    task_id = me.add(priority="low")["task_id"]
    assert me.update(task_id=task_id, priority="high")["priority"] == "high"
    data = me.update(task_id=task_id, clear=["priority"])
    assert (data["updated_fields"], me.row(task_id)["priority"]) == (["priority"], 0)
    assert me.update(task_id=task_id, priority="none")["updated_fields"] == []


@pytest.mark.parametrize(
    ("name", "instead"),
    [("completed", "reopen"), ("deleted", "restore"), ("completed", "complete_task"), ("deleted", "delete_task")],
)
def test_completed_and_deleted_are_no_arguments_and_the_refusal_says_what_is(
    me: ToolUser, name: str, instead: str
) -> None:
    refusal = me.invalid("update_task", name, task_id=me.add()["task_id"], **{name: True})
    assert instead in refusal["fields"][name]


def test_every_field_is_emptied_by_its_name(me: ToolUser) -> None:
    task_id = me.add(
        description="x", repeat="every day", priority="low", tags=["a"], checklist=["b"], due="tomorrow 9am"
    )["task_id"]
    fields = ["description", "priority", "tags", "repeat", "checklist", "due"]
    data = me.update(task_id=task_id, clear=[*fields, "time", "due"])
    assert set(data["updated_fields"]) == set(fields)
    assert me.update(task_id=task_id, clear=fields)["updated_fields"] == []
    task = me.undo(data["undo"])["tasks"][0]
    assert (task["description"], task["due"], task["repeat"]) == ("x", "2026-11-22T09:00+01:00", "FREQ=DAILY")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE tasks SET tags = '{HOME,new}'",
        "UPDATE tasks SET tags = '{}'",
        "UPDATE tasks SET tags = '{Home,home}'",
        "UPDATE tasks SET title = 'Other'",
        "UPDATE tasks SET completed = true, completed_at = now()",
        "UPDATE tasks SET created_at = created_at - interval '1 day'",
        "UPDATE tasks SET deleted_at = now(), tags = '{other}'",
        "UPDATE tasks SET deleted_at = now(); UPDATE tasks SET deleted_at = NULL, completed = false",
        "INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at, tags, deleted_at) "
        "SELECT user_id, 'Deleted', '', false, now(), now(), tags, now() FROM tasks",
        "DELETE FROM tasks",
    ],
)
def test_the_table_of_tags_follows_any_statement(me: ToolUser, sql: str) -> None:
    me.add(tags=["Home", "Work"])
    me.add()
    assert TaskTag.objects.count() == 2
    assert wrong_tag_rows() == []
    with connection.cursor() as cursor:
        cursor.execute(sql)
    assert wrong_tag_rows() == []
