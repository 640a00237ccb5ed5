"""update_task with a checklist: items by number, by words or all; what is added once, and what is refused."""

from typing import Any

import pytest

from tests.support.tool_user import ToolUser

ITEMS = ["Milk", "Brown bread", "White bread", "Café crème", "2 eggs"]


def shopping(me: ToolUser, *done: int) -> int:
    task_id = int(me.add("Shopping", checklist=ITEMS)["task_id"])
    if done:
        me.update(task_id=task_id, check=list(done))
    return task_id


def marks(items: list[dict[str, Any]]) -> str:
    return " ".join(("+" if item["done"] else "-") + item["text"].split()[0] for item in items)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"check": ["milk"]}, "+Milk -Brown -White -Café -2"),
        ({"check": [1, "2", 5.0]}, "+Milk +Brown -White -Café +2"),
        ({"check": ["bro br"]}, "-Milk +Brown -White -Café -2"),
        ({"check": ["cafe"]}, "-Milk -Brown -White +Café -2"),
        ({"check": ["2 eggs"]}, "-Milk -Brown -White -Café +2"),
        ({"check": ["*"]}, "+Milk +Brown +White +Café +2"),
        ({"check": ["*"], "uncheck": ["milk"]}, "-Milk +Brown +White +Café +2"),
        ({"remove_items": ["white", 1]}, "-Brown -Café -2"),
        ({"remove_items": ["*"]}, ""),
        ({"remove_items": [1], "check": [2]}, "+Brown -White -Café -2"),
        ({"add_items": ["Tea", "tea", "MILK"]}, "-Milk -Brown -White -Café -2 -Tea"),
        ({"checklist": ["Tea", "Milk"]}, "-Tea -Milk"),
        ({"clear": ["checklist"]}, ""),
    ],
)
def test_items_change_as_asked(me: ToolUser, change: dict[str, Any], expected: str) -> None:
    task_id = shopping(me)
    data = me.update(task_id=task_id, **change)
    stored = me.row(task_id)["checklist"]
    assert marks(stored) == expected
    if expected == "-Milk -Brown -White -Café -2":
        return
    assert data["updated_fields"] == ["checklist"]
    assert data.get("checklist", []) == stored
    me.undo(data["undo"])
    assert marks(me.row(task_id)["checklist"]) == "-Milk -Brown -White -Café -2"


def test_a_done_item_that_is_added_opens_and_an_equal_text_keeps_its_mark(me: ToolUser) -> None:
    task_id = shopping(me, 1, 2)
    me.update(task_id=task_id, add_items=["milk"])
    assert marks(me.row(task_id)["checklist"]).startswith("-Milk +Brown")
    me.update(task_id=task_id, checklist=["Brown bread", "brown bread", "Milk"])
    assert marks(me.row(task_id)["checklist"]) == "+Brown -brown -Milk"
    me.update(task_id=task_id, uncheck=["*"])
    assert marks(me.row(task_id)["checklist"]) == "-Brown -brown -Milk"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"check": ["bread"]}, "check"),  # two items
        ({"check": ["butter"]}, "check"),
        ({"check": [0]}, "check"),
        ({"check": [6]}, "check"),
        ({"check": ["99999999999999999999"]}, "check"),
        ({"check": ["milk", "butter"], "title": "New"}, "check"),
        ({"uncheck": ["butter"]}, "uncheck"),
        ({"remove_items": ["bread"]}, "remove_items"),
        ({"add_items": [f"Thing {n}" for n in range(46)]}, "add_items"),
        ({"check": [True]}, "check.0"),
        ({"check": [1.5]}, "check.0"),
        ({"check": "milk"}, "check"),
        ({"add_items": ["x" * 201]}, "add_items.0"),
        ({"checklist": ["x"] * 51}, "checklist"),
        ({"check": ["milk"], "clear": ["checklist"]}, "clear"),
    ],
)
def test_what_names_no_item_or_is_too_much_is_refused(me: ToolUser, change: dict[str, Any], field: str) -> None:
    me.invalid("update_task", field, task_id=shopping(me), **change)


@pytest.mark.parametrize("name", ["check", "uncheck", "remove_items"])
def test_a_task_without_a_checklist_has_no_items_to_name(me: ToolUser, name: str) -> None:
    me.invalid("update_task", name, task_id=me.add()["task_id"], **{name: [1]})


def test_an_append_is_a_new_line_and_the_limit_holds(me: ToolUser) -> None:
    task_id = me.add()["task_id"]
    data = me.update(task_id=task_id, append="Her number: 123")
    assert data["updated_fields"] == ["description"]
    me.update(task_id=task_id, append="Call\r\nagain")
    assert me.row(task_id)["description"] == "Her number: 123\nCall\nagain"
    refusal = me.invalid("update_task", "append", task_id=task_id, append="x" * 990)
    assert "at most 1000" in refusal["fields"]["append"]
    me.update(task_id=task_id, description="Only this", append="and that")
    assert me.row(task_id)["description"] == "Only this\nand that"
