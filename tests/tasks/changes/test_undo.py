"""Undo: every write of every tool is taken back, once, as a whole or for some tasks, and can be done again."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from tasks.models import Task, TaskEvent
from tasks.services import restore_task
from tests.support.tool_calls import everything_of
from tests.support.tool_user import ToolUser
from todo_mcp.auth.tokens import issue_token

NOT_RESTORED = ("version", "text_version", "updated_at")
Write = Callable[[ToolUser, list[int]], dict[str, Any]]
WRITES: dict[str, Write] = {
    "complete": lambda me, ids: me.complete(task_id=ids[0]),
    "complete several": lambda me, ids: me.complete(task_ids=ids),
    "delete": lambda me, ids: me.delete(task_id=ids[0]),
    "delete several": lambda me, ids: me.delete(task_ids=ids),
    "title": lambda me, ids: me.update(task_id=ids[0], title="New"),
    "title and description": lambda me, ids: me.update(task_id=ids[0], title="New", description="New"),
    "all fields": lambda me, ids: me.update(
        task_id=ids[0], title="New", append="x", priority="high", tags=["y"], add_items=["z"], due="friday 9am"
    ),
    "repeat": lambda me, ids: me.update(task_id=ids[0], repeat="every day at 9am"),
    "clear": lambda me, ids: me.update(task_id=ids[0], clear=["due", "description", "tags", "checklist"]),
    "the same for several": lambda me, ids: me.update(task_ids=ids, add_tags=["new"], due="+1 day"),
    "different for several": lambda me, ids: me.update(
        tasks=[{"task_id": ids[1], "title": "New"}, {"task_id": ids[0], "due": "today"}]
    ),
    "add": lambda me, ids: me.add("New"),
    "add several": lambda me, ids: me.done("add_task", tasks=[{"title": "a", "repeat": "every day"}, {"title": "b"}]),
    "reopen": lambda me, ids: me.update(task_id=ids[2], reopen=True),
    "restore": lambda me, ids: me.update(task_id=ids[3], restore=True, title="Back"),
}


@pytest.fixture
def ids(me: ToolUser) -> list[int]:
    """A plain task, one with every field that repeats, a completed one and a deleted one."""
    added = [
        me.add("Plain", due="tomorrow", description="x", tags=["a"], checklist=["b"]),
        me.add("Water", repeat="every monday at 8am", priority="low"),
        me.add("Done"),
        me.add("Gone"),
    ]
    ids = [data["task_id"] for data in added]
    me.complete(task_id=ids[2])
    me.delete(task_id=ids[3])
    return ids


def seen(deleted: bool = True) -> list[dict[str, Any]]:
    """What a person sees of the tasks. An added task that is undone stays in the trash."""
    rows = Task.objects.order_by("id").values()
    rows = rows if deleted else rows.filter(deleted_at=None)
    return [{name: value for name, value in row.items() if name not in NOT_RESTORED} for row in rows]


@pytest.mark.parametrize("write", WRITES)
def test_an_undo_takes_a_write_back_and_its_own_undo_does_it_again(me: ToolUser, ids: list[int], write: str) -> None:
    known = Task.objects.count()
    before = seen()
    data = WRITES[write](me, ids)
    after, versions = seen(), dict(Task.objects.values_list("id", "version"))
    assert len(data["undo"]) <= 16
    undone = me.undo(data["undo"])
    assert seen()[:known] == before
    assert all(row["deleted_at"] for row in seen()[known:])
    assert undone["tasks"]
    again = me.undo(undone["undo"])
    assert seen() == after
    me.undo(again["undo"])
    assert seen()[:known] == before
    assert all(version <= dict(Task.objects.values_list("id", "version"))[one] for one, version in versions.items())


@pytest.mark.parametrize("write", WRITES)
def test_an_undo_that_is_sent_again_changes_nothing_and_says_so(me: ToolUser, ids: list[int], write: str) -> None:
    name = WRITES[write](me, ids)["undo"]
    redo = me.undo(name)["undo"]
    for prepare in (lambda: None, lambda: me.undo(redo), lambda: me.add("More")):
        prepare()
        before, events = seen(), TaskEvent.objects.count()
        repeated = me.undo(name)
        assert "Nothing changed" in repeated["message"]
        assert "undo" not in repeated
        assert (seen(), TaskEvent.objects.count()) == (before, events)


def test_calls_are_undone_one_after_the_other_newest_first(me: ToolUser, ids: list[int]) -> None:
    before = seen()
    names = [
        me.update(task_id=ids[0], title="One")["undo"],
        me.update(task_ids=ids[:2], title="Two", add_tags=["x"])["undo"],
        me.complete(task_id=ids[1])["undo"],
        me.delete(task_ids=ids[:3])["undo"],
    ]
    me.refused("update_task", "version_conflict", undo=names[0])
    redo = [me.undo(name)["undo"] for name in reversed(names)]
    assert seen()[: len(before)] == before
    for name in reversed(redo):
        me.undo(name)
    assert me.row(ids[0])["title"] == "Two"


def test_an_undo_answers_the_tasks_as_they_are_now_with_the_clock(me: ToolUser, ids: list[int]) -> None:
    name = me.update(task_id=ids[0], due="friday")["undo"]
    data = me.undo(name)
    assert data["tasks"][0] == {
        **data["tasks"][0],
        "task_id": ids[0],
        "title": "Plain",
        "description": "x",
        "completed": False,
        "due": "2026-11-22",
        "tags": ["a"],
        "checklist": [{"text": "b", "done": False}],
        "version": 3,
    }
    assert (data["now"], data["time_zone"]) == ("2026-11-21T17:05+01:00", "Europe/Berlin")


def test_a_task_that_changed_since_stops_the_undo_and_the_others_can_be_undone(me: ToolUser, ids: list[int]) -> None:
    name = me.delete(task_ids=ids[:3])["undo"]
    me.update(task_id=ids[1], restore=True)
    conflict = me.refused("update_task", "version_conflict", undo=name)
    assert [(one["task_id"], one["title"], "deleted_at" in one) for one in conflict["conflicts"]] == [
        (ids[1], "Water", False)
    ]
    data = me.undo(name, task_ids=[ids[0], ids[2], 99])
    assert ({task["task_id"] for task in data["tasks"]}, data["not_found"]) == ({ids[0], ids[2]}, [99])
    assert "Nothing changed" in me.undo(name, task_ids=[ids[0]])["message"]
    me.refused("update_task", "task_not_found", undo=name, task_ids=[99])


def test_a_changed_next_occurrence_stops_the_undo_of_a_completion(me: ToolUser, ids: list[int]) -> None:
    done = me.complete(task_ids=ids[:2])
    follower = done["tasks"][1]["next"]["task_id"]
    me.delete(task_id=follower)
    conflict = me.refused("update_task", "version_conflict", undo=done["undo"])
    assert [one["task_id"] for one in conflict["conflicts"]] == [follower]
    assert "deleted_at" in conflict["conflicts"][0]
    me.refused("update_task", "version_conflict", undo=done["undo"], task_ids=[ids[1]])
    me.undo(done["undo"], task_ids=[ids[0]])
    assert (me.row(ids[0])["completed"], me.row(ids[1])["completed"]) == (False, True)


@pytest.mark.parametrize("name", ["x", "1.0", "0.1", "1.1.1", "zzzzzzzzzzz.2", "-1.2", "1.2 ", "é.1", "1." + "9" * 14])
def test_a_name_of_no_call_is_refused(me: ToolUser, ids: list[int], name: str) -> None:
    other = {"1.2 ": "9.2"}.get(name, name)
    me.invalid("update_task", "undo", undo=other)


def test_another_persons_name_is_as_unknown_as_any(me: ToolUser, other: ToolUser, ids: list[int]) -> None:
    name = me.update(task_id=ids[0], title="New")["undo"]
    refusals = [other.invalid("update_task", "undo", undo=one) for one in (name, "zz.1")]
    assert refusals[0] == refusals[1]
    assert me.row(ids[0])["title"] == "New"
    service = issue_token(service="chat")
    ToolUser("alice", service, user_id="bob").call("update_task", undo=name)
    assert me.row(ids[0])["title"] == "New"
    ToolUser("alice", service, user_id="alice").undo(name)
    assert me.row(ids[0])["title"] == "Plain"


def test_a_name_works_for_30_days(me: ToolUser, ids: list[int]) -> None:
    names = [me.update(task_id=one, append="more")["undo"] for one in ids[:2]]
    for name, task_id, age in zip(names, ids, (29.9, 30.1), strict=False):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE task_events SET pgh_created_at = pgh_created_at - %s * interval '1 day' WHERE pgh_obj_id = %s",
                [age, task_id],
            )
        if age < 30:
            me.undo(name)
        else:
            me.invalid("update_task", "undo", undo=name)


def test_an_operators_change_is_not_undone_by_a_person(me: ToolUser, ids: list[int]) -> None:
    restore_task(user_id="alice", task_id=ids[3])
    version = me.row(ids[3])["version"]
    name = f"{ids[3]}.{version}"
    me.invalid("update_task", "undo", undo=name)
    Task.objects.filter(pk=ids[0]).update(title="By raw SQL")
    me.invalid("update_task", "undo", undo=f"{ids[0]}.{me.row(ids[0])['version']}")


@pytest.mark.parametrize(
    "beside",
    [
        {"title": "x"},
        {"task_id": 1},
        {"match": "x"},
        {"time_zone": "UTC"},
        {"restore": True},
        {"tasks": [{"task_id": 1}]},
    ],
)
def test_nothing_stands_beside_undo(me: ToolUser, ids: list[int], beside: dict[str, Any]) -> None:
    name = me.add()["undo"]
    me.invalid("update_task", *beside, undo=name, **beside)
    assert me.undo(name, reopen=False, title="", tags=[], task_id=0)["tasks"]


def test_an_undo_that_can_change_nothing_has_no_undo(me: ToolUser) -> None:
    first = me.add(repeat="every day")["task_id"]
    second = me.complete(task_id=first)["next"]["task_id"]
    name = me.update(task_id=second, clear=["repeat"])["undo"]
    me.update(task_id=first, reopen=True)
    before = everything_of(me.user_id)
    # The series has one open task that repeats already, so the repeat does not come back.
    assert "undo" not in me.undo(name)
    assert everything_of(me.user_id) == before


def test_a_purged_task_is_a_conflict_without_a_title(me: ToolUser, ids: list[int]) -> None:
    name = me.update(task_ids=ids[:2], add_tags=["new"])["undo"]
    Task.objects.filter(pk=ids[1]).delete()
    conflict = me.refused("update_task", "version_conflict", undo=name)
    assert conflict["conflicts"] == [{"task_id": ids[1]}]
