"""Calls for several tasks: all or nothing, in the order sent, once each, and never those of another person."""

from typing import Any

import pytest

from tests.support.tool_calls import everything_of
from tests.support.tool_user import ToolUser


def ids_of(user: ToolUser, count: int) -> list[int]:
    data = user.done("add_task", tasks=[{"title": f"Task {n}"} for n in range(count)])
    return [task["task_id"] for task in data["tasks"]]


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("complete_task", {}),
    ("delete_task", {}),
    ("update_task", {"title": "New"}),
    ("update_task", {"add_tags": ["x"], "priority": "low", "append": "more", "add_items": ["y"], "due": "friday"}),
]


@pytest.mark.parametrize(("tool", "change"), CHANGES)
def test_each_task_is_done_once_in_the_order_sent(
    me: ToolUser, other: ToolUser, tool: str, change: dict[str, Any]
) -> None:
    first, second, third = ids_of(me, 3)
    [foreign] = ids_of(other, 1)
    before = everything_of("bob")
    data = me.done(tool, task_ids=[third, str(first), third, foreign, 10**9], **change)
    assert [task["task_id"] for task in data["tasks"]] == [third, first]
    assert all({"title", "version", "updated_at"} <= task.keys() for task in data["tasks"])
    assert data["not_found"] == [foreign, 10**9]
    assert f"Not found: {foreign}, {10**9}." in data["message"]
    assert [me.row(one)["version"] for one in (first, second, third)] == [2, 1, 2]
    assert everything_of("bob") == before
    undone = me.undo(data["undo"])
    assert {task["task_id"] for task in undone["tasks"]} == {first, third}
    assert [me.row(one)["version"] for one in (first, second, third)] == [3, 1, 3]


@pytest.mark.parametrize(("tool", "change"), CHANGES)
def test_what_names_no_task_of_the_person_is_refused(
    me: ToolUser, other: ToolUser, tool: str, change: dict[str, Any]
) -> None:
    [mine], [foreign] = ids_of(me, 1), ids_of(other, 1)
    me.refused(tool, "task_not_found", task_ids=[foreign, 10**9], **change)
    me.refused(tool, "task_not_found", task_id=foreign, **change)
    me.delete(task_id=mine)
    me.refused(tool, "task_not_found", task_ids=[mine], **change)
    me.invalid(tool, "task_id", **change)
    me.invalid(tool, "task_id", task_ids=[], **change)
    me.invalid(tool, "match", "task_id", task_id=mine, match="Task", **change)
    me.invalid(tool, "task_id", "task_ids", task_id=mine, task_ids=[mine], **change)
    me.invalid(tool, "task_ids", task_ids=[mine] * 101, **change)
    me.invalid(tool, "task_ids.1", task_ids=[mine, 0], **change)
    me.invalid(tool, "expected_version", task_ids=[mine], expected_version=1, **change)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"append": "x" * 999}, "append"),
        ({"check": ["milk"]}, "check"),
        ({"remove_items": [3]}, "remove_items"),
        ({"add_tags": [f"t{n}" for n in range(10)], "title": "New"}, "add_tags"),
        ({"due": "skip"}, "due"),
        ({"repeat": "sometimes"}, "repeat"),
    ],
)
def test_one_task_that_cannot_take_the_change_stops_all_and_is_named(
    me: ToolUser, change: dict[str, Any], field: str
) -> None:
    able = me.add(description="", checklist=["milk", "bread", "eggs"])["task_id"]
    unable = me.add(description="two", tags=["a"])["task_id"]
    refusal = me.invalid("update_task", field, task_ids=[able, unable], **change)
    assert str(unable) in refusal["fields"][field]
    me.invalid("update_task", field, task_ids=[unable], **change)


def test_a_hundred_tasks_are_one_call_and_one_undo(me: ToolUser) -> None:
    ids = ids_of(me, 50) + ids_of(me, 50)
    data = me.complete(task_ids=ids)
    assert len(data["tasks"]) == 100
    assert "and 95 more" in data["message"]
    assert len(data["undo"]) <= 16
    me.undo(data["undo"])
    assert not any(me.row(one)["completed"] for one in ids[::20])


def test_completing_some_again_says_so_and_undoes_only_the_new_ones(me: ToolUser) -> None:
    first, second = ids_of(me, 2)
    me.complete(task_id=first)
    data = me.complete(task_ids=[first, second])
    assert "1 was completed before." in data["message"]
    me.undo(data["undo"])
    assert (me.row(first)["completed"], me.row(second)["completed"]) == (True, False)
    nothing = me.complete(task_ids=[first])
    assert "undo" not in nothing


def test_different_changes_are_made_in_one_call(me: ToolUser) -> None:
    first, second, third = ids_of(me, 3)
    data = me.update(
        tasks=[
            {"task_id": second, "due": "friday", "title": ""},
            {"task_id": str(first), "title": "New", "priority": "high", "add_tags": ["x"]},
            {"task_id": third},
        ]
    )
    assert [task["task_id"] for task in data["tasks"]] == [second, first, third]
    assert [task["updated_fields"] for task in data["tasks"]] == [["due"], ["title", "priority", "tags"], []]
    assert (data["tasks"][0]["due"], data["weekday"]) == ("2026-11-27", "Saturday")
    me.undo(data["undo"])
    assert (me.row(first)["title"], me.row(second)["due_on"]) == ("Task 0", None)


@pytest.mark.parametrize(
    ("tasks", "beside", "fields"),
    [
        ([{"task_id": 1, "due": "soon"}], {}, ["tasks.0.due"]),
        ([{"task_id": 1, "title": "New"}, {"task_id": 2, "due": "+1 day"}], {}, ["tasks.1.due"]),
        ([{"task_id": 1, "title": "New"}, {"task_id": 1, "due": "today"}], {}, ["tasks.1.task_id"]),
        ([{"title": "New"}], {}, ["tasks.0.task_id"]),
        ([{"task_id": 1, "repeat": "every day"}], {}, ["tasks.0.repeat"]),
        (
            [{"task_id": 1, "priority": "x"}, {"task_id": 2, "add_tags": ["#"]}],
            {},
            ["tasks.0.priority", "tasks.1.add_tags.0"],
        ),
        ([{"task_id": 1, "title": "New"}] * 51, {}, ["tasks"]),
        ([{"task_id": 1, "title": "New"}], {"due": "today", "match": "x"}, ["due", "match"]),
        ([{"task_id": 1, "title": "New"}], {"expected_version": 1}, ["expected_version"]),
    ],
)
def test_one_wrong_change_of_several_stops_all(
    me: ToolUser, tasks: Any, beside: dict[str, Any], fields: list[str]
) -> None:
    ids = dict(enumerate(ids_of(me, 2), 1))
    numbered = [task | {"task_id": ids[task["task_id"]]} if "task_id" in task else task for task in tasks]
    me.invalid("update_task", *fields, tasks=numbered, **beside)


def test_a_task_of_somebody_else_among_different_changes_stops_all(me: ToolUser, other: ToolUser) -> None:
    [mine], [foreign] = ids_of(me, 1), ids_of(other, 1)
    for missing in (foreign, 10**9):
        refusal = me.refused(
            "update_task",
            "task_not_found",
            tasks=[{"task_id": mine, "title": "New"}, {"task_id": missing, "title": "New"}],
        )
        assert refusal["not_found"] == [missing]


def test_a_key_makes_a_change_once(me: ToolUser) -> None:
    [task_id] = ids_of(me, 1)
    arguments = {"task_id": task_id, "append": "one line", "idempotency_key": "a-key-of-my-own"}
    first, again = me.update(**arguments), me.update(**arguments)
    assert {**again, "message": ""} == {**first, "message": ""}
    assert me.row(task_id)["description"] == "one line"
    me.refused("update_task", "idempotency_conflict", **{**arguments, "append": "other"})
    me.undo(first["undo"])
    assert me.update(**arguments)["undo"] == first["undo"]
    assert me.row(task_id)["description"] == ""
