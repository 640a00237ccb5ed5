"""Repeating tasks: the first date, the next one, skipping, moving one date or the series, reopening, and the end."""

from contextvars import Context
from typing import Any

import pytest

from tasks.changes import statements
from tasks.models import Task
from tasks.state import TaskState
from tests.support.tool_user import ToolUser
from tests.tasks.conftest import At


def open_dates(me: ToolUser) -> list[str]:
    """The due dates of the open tasks that repeat."""
    rows = Task.objects.filter(completed=False, deleted_at=None).exclude(repeat="").order_by("id")
    return [str(row.due_on or row.due_at) for row in rows]


@pytest.mark.parametrize(
    ("arguments", "due", "next_due"),
    [
        ({"repeat": "every day"}, "2026-11-21", "2026-11-22"),
        ({"repeat": "every Monday at 8am"}, "2026-11-23T08:00+01:00", "2026-11-30T08:00+01:00"),
        ({"repeat": "every day at 8am"}, "2026-11-22T08:00+01:00", "2026-11-23T08:00+01:00"),
        ({"repeat": "every day at 18:00"}, "2026-11-21T18:00+01:00", "2026-11-22T18:00+01:00"),
        ({"repeat": "every weekday"}, "2026-11-23", "2026-11-24"),
        ({"repeat": "every 2 weeks", "due": "2026-11-24"}, "2026-11-24", "2026-12-08"),
        ({"repeat": "every month on the 31st"}, "2026-12-31", "2027-01-31"),
        ({"repeat": "every last Friday of the month"}, "2026-11-27", "2026-12-25"),
        ({"repeat": "every year", "due": "2027-02-28"}, "2027-02-28", "2028-02-28"),
        ({"repeat": "every monday", "due": "2026-11-25"}, "2026-11-25", "2026-11-30"),  # no occurrence stays the first
        ({"repeat": "3 days after completion", "due": "2026-11-19"}, "2026-11-19", "2026-11-24"),
        ({"repeat": "FREQ=DAILY", "due": "2026-11-15"}, "2026-11-15", "2026-11-22"),
        ({"repeat": "FREQ=DAILY;COUNT=1", "due": "today"}, "2026-11-21", None),
        ({"repeat": "every day until 2026-11-21", "due": "today"}, "2026-11-21", None),
    ],
)
def test_completing_adds_the_next_date_once(
    me: ToolUser, arguments: dict[str, Any], due: str, next_due: str | None
) -> None:
    added = me.add(checklist=["Pack"], tags=["x"], priority="low", description="More", **arguments)
    assert added["due"] == due
    me.update(task_id=added["task_id"], check=["*"])
    data = me.complete(task_id=added["task_id"])
    assert data.get("next", {}).get("due") == next_due
    if next_due is None:
        assert "last date" in data["message"]
        assert Task.objects.count() == 1
        return
    again = me.complete(task_id=added["task_id"])
    assert (again["next"], "undo" in again) == (data["next"], False)
    assert (data["now"], data["weekday"]) == ("2026-11-21T17:05+01:00", "Saturday")
    follower = me.row(data["next"]["task_id"])
    kept = ("title", "description", "priority", "tags")
    assert {name: follower[name] for name in kept} == {name: me.row(added["task_id"])[name] for name in kept}
    assert (follower["checklist"], follower["completed"]) == ([{"text": "Pack", "done": False}], False)
    assert me.row(added["task_id"])["completed"]
    me.undo(data["undo"])
    assert (me.row(added["task_id"])["completed"], me.row(follower["id"])["deleted_at"] is None) == (False, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"repeat": "every monday", "due": "2026-11-25"}, "it stays the first"),
        ({"repeat": "every month on the 31st"}, "BYMONTHDAY=-1"),
        ({"repeat": "every day at 8am", "due": "today"}, "It is overdue."),
        ({"repeat": "every day", "due": "tomorrow"}, "It repeats: FREQ=DAILY."),
    ],
)
def test_the_message_says_what_the_rule_means(me: ToolUser, arguments: dict[str, Any], said: str) -> None:
    assert said in me.add(**arguments)["message"]
    assert said in me.done("add_task", tasks=[{"title": "x", **arguments}])["message"]


def test_dates_that_are_left_out_are_named(me: ToolUser) -> None:
    ids = [me.add(repeat="FREQ=DAILY", due="2026-11-18")["task_id"] for _ in range(2)]
    for data in (me.complete(task_id=ids[0]), me.complete(task_ids=[ids[1]])):
        assert "Left out: Thursday 19 November 2026; Friday 20 November 2026" in data["message"]
        assert "due tomorrow, Sunday 22 November 2026" in data["message"]


def test_count_counts_down_and_ends(me: ToolUser) -> None:
    task_id = me.add(repeat="every day for 3 times", due="today")["task_id"]
    for count in (2, 1):
        task_id = me.complete(task_id=task_id)["next"]["task_id"]
        assert me.row(task_id)["repeat"] == f"FREQ=DAILY;COUNT={count}"
    assert "next" not in me.complete(task_id=task_id)


def test_moving_a_date_moves_it_alone(me: ToolUser) -> None:
    task_id = me.add(repeat="every monday")["task_id"]
    data = me.update(task_id=task_id, due="today")
    assert "Only this date moved" in data["message"]
    assert me.complete(task_id=task_id)["next"]["due"] == "2026-11-30"


def test_repeat_sent_with_due_moves_the_series(me: ToolUser) -> None:
    task_id = me.add(repeat="every week", due="monday")["task_id"]
    me.update(task_id=task_id, repeat="every week", due="tuesday")
    assert me.complete(task_id=task_id)["next"]["due"] == "2026-12-01"


@pytest.mark.parametrize(
    ("before", "repeat", "due"),
    [
        ({}, "every monday at 8am", "2026-11-23T08:00+01:00"),
        ({"due": "2026-11-25"}, "every monday", "2026-11-30"),
        ({"due": "2026-11-25T14:00"}, "every friday", "2026-11-27T14:00+01:00"),
        ({"due": "2026-11-02"}, "every friday", "2026-11-27"),  # not before today
        ({"due": "2026-11-25T14:00"}, "every friday at 9am", "2026-11-27T09:00+01:00"),
    ],
)
def test_repeat_alone_moves_a_task_to_the_rules_first_date(
    me: ToolUser, before: dict[str, Any], repeat: str, due: str
) -> None:
    task_id = me.add(**before)["task_id"]
    data = me.update(task_id=task_id, repeat=repeat)
    assert (data["due"], data["weekday"]) == (due, "Saturday")
    assert "repeat" in data["updated_fields"]
    me.undo(data["undo"])
    assert me.row(task_id)["repeat"] == ""


def test_skip_goes_on_to_the_next_date_and_uses_up_one(me: ToolUser) -> None:
    task_id = me.add(repeat="every monday for 2 times")["task_id"]
    me.update(task_id=task_id, due="today")
    data = me.update(task_id=task_id, due="skip")
    assert (data["due"], data["repeat"]) == ("2026-11-30", "FREQ=WEEKLY;BYDAY=MO;COUNT=1")
    me.invalid("update_task", "due", task_id=task_id, due="skip")
    assert "next" not in me.complete(task_id=task_id)
    me.invalid("update_task", "due", task_id=task_id, due="skip")
    me.invalid("update_task", "repeat", task_id=task_id, repeat="every day")
    assert me.update(task_id=task_id, reopen=True, repeat="every day")["repeat"] == "FREQ=DAILY"


def test_a_repeating_moment_keeps_its_zone_and_local_time(me: ToolUser, at: At) -> None:
    task_id = me.add(repeat="every sunday at 9am", due="2027-03-21", time_zone="Europe/Berlin")["task_id"]
    at("2027-03-21T12:00+01:00")
    data = me.complete(task_id=task_id)
    assert data["next"]["due"] == "2027-03-28T09:00+02:00"
    me.update(time_zone="America/New_York")
    row = me.undo(me.update(task_id=data["next"]["task_id"], due="+7 days")["undo"])["tasks"][0]
    assert (row["due"], row["time_zone"]) == ("2027-03-28T03:00-04:00", "Europe/Berlin")
    moved = me.update(task_id=data["next"]["task_id"], due="+7 months")
    assert str(me.row(data["next"]["task_id"])["due_at"]) == "2027-10-28 07:00:00+00:00"  # 9:00 in Berlin
    assert moved["due"] == "2027-10-28T03:00-04:00"


def test_reopening_removes_the_next_occurrence_unless_somebody_changed_it(me: ToolUser) -> None:
    first = me.add(repeat="every day")["task_id"]
    second = me.complete(task_id=first)["next"]["task_id"]
    data = me.update(task_id=first, reopen=True)
    assert data["updated_fields"] == ["completed"]
    assert open_dates(me) == ["2026-11-21"]
    me.undo(data["undo"])  # both together
    assert me.row(first)["completed"]
    assert open_dates(me) == ["2026-11-22"]
    me.update(task_id=second, title="Changed")
    data = me.update(task_id=first, reopen=True)
    assert "repeats no more" in data["message"]
    assert (open_dates(me), me.row(first)["repeat"]) == (["2026-11-22"], "")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("is_complete", [True, False])
def test_reopening_several_of_a_series_leaves_one_that_repeats(
    me: ToolUser, order: tuple[int, int], is_complete: bool
) -> None:
    first = me.add(repeat="every day")["task_id"]
    second = me.complete(task_id=first)["next"]["task_id"]
    if is_complete:
        me.delete(task_id=me.complete(task_id=second)["next"]["task_id"])
    ids = (first, second)
    data = me.update(task_ids=[ids[one] for one in order], reopen=True)
    assert len(open_dates(me)) == 1
    me.undo(data["undo"])
    assert (me.row(first)["completed"], me.row(second)["completed"]) == (True, is_complete)


def test_restoring_or_undoing_never_leaves_two_that_repeat(me: ToolUser) -> None:
    first = me.add(repeat="every day")["task_id"]
    second = me.complete(task_id=first)["next"]["task_id"]
    deleted = me.delete(task_id=second)
    assert "series, ended" in deleted["message"]
    assert "due skip" in deleted["message"]
    me.update(task_id=first, reopen=True)
    restored = me.update(task_id=second, restore=True)
    assert restored["updated_fields"] == ["deleted_at", "repeat"]
    assert "repeats no more" in restored["message"]
    me.undo(restored["undo"])
    assert len(open_dates(me)) == 1
    third = me.complete(task_id=first)["next"]["task_id"]
    me.update(task_id=second, restore=True)
    me.invalid("update_task", "repeat", task_id=second, repeat="every week")
    assert [row.pk for row in Task.objects.filter(completed=False).exclude(repeat="")] == [third]


def test_undoing_a_deletion_drops_the_repeat_if_another_of_the_series_repeats(me: ToolUser) -> None:
    first = me.add(repeat="every day")["task_id"]
    second = me.complete(task_id=first)["next"]["task_id"]
    deleted = me.delete(task_id=second)
    me.update(task_id=first, reopen=True)
    undone = me.undo(deleted["undo"])
    assert "repeats no more" in undone["message"]
    assert open_dates(me) == ["2026-11-21"]
    assert "repeat" not in undone["tasks"][0]
    me.undo(undone["undo"])
    assert me.row(second)["repeat"] == "FREQ=DAILY"
    assert me.row(second)["deleted_at"] is not None


def test_deleting_a_completed_occurrence_ends_nothing(me: ToolUser) -> None:
    first = me.add(repeat="every day")["task_id"]
    second = me.complete(task_id=first)["next"]["task_id"]
    assert "ended" not in me.delete(task_id=first)["message"]
    assert "ended" in me.delete(task_ids=[second])["message"]
    assert open_dates(me) == []


def test_several_repeating_tasks_get_their_next_dates_together(me: ToolUser) -> None:
    ids = [me.add(repeat=repeat)["task_id"] for repeat in ("every day", "every monday", "every year")]
    data = me.complete(task_ids=[*reversed(ids), 99])
    assert [task["next"]["due"] for task in data["tasks"]] == ["2027-11-21", "2026-11-30", "2026-11-22"]
    me.undo(data["undo"], task_ids=[data["tasks"][0]["next"]["task_id"]])  # a completion goes with its next
    assert [me.row(one)["completed"] for one in ids] == [True, True, False]


def test_nobody_else_completes_or_skips(me: ToolUser, other: ToolUser) -> None:
    task_id = me.add(repeat="every day")["task_id"]
    for tool, change in (("complete_task", {}), ("update_task", {"due": "skip"}), ("update_task", {"reopen": True})):
        other.refused(tool, "task_not_found", task_id=task_id, **change)
    assert open_dates(me) == ["2026-11-21"]


def test_a_task_that_opens_while_its_completion_is_sent_again_is_completed_with_its_next(
    me: ToolUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = me.add(repeat="every day")["task_id"]
    second = me.complete(task_id=first)["next"]["task_id"]
    read = statements.read

    def read_late(*arguments: Any, **options: Any) -> list[TaskState]:
        monkeypatch.undo()
        Context().run(me.update, task_id=first, reopen=True)
        return read(*arguments, **options)

    monkeypatch.setattr(statements, "read", read_late)
    third = me.complete(task_id=first)["next"]["task_id"]
    assert [me.row(one)["completed"] for one in (first, third)] == [True, False]
    assert me.row(second)["deleted_at"]
    assert third > second
