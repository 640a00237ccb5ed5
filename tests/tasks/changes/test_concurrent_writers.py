"""Writers at the same time, each in a thread with its own connection: no change is lost, doubled or overwritten."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from tasks.models import Task, TaskEvent
from tests.support.tool_user import ToolUser

WRITERS = 6
Work = Callable[[], Any]


def at_once(works: Sequence[Work]) -> list[Any]:
    """Do all of this at the same time. Returns the results in order."""
    barrier = Barrier(len(works))

    def run(work: Work) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))


def open_and_repeating() -> int:
    return Task.objects.filter(completed=False, deleted_at=None).exclude(repeat="").count()


@pytest.mark.parametrize("kind", ["one", "several"])
def test_no_change_of_one_task_is_overwritten(me: ToolUser, kind: str) -> None:
    task_id = me.add(tags=["first"], due="tomorrow")["task_id"]
    other_id = me.add(due="tomorrow")["task_id"]
    which: dict[str, Any] = {"task_id": task_id} if kind == "one" else {"task_ids": [other_id, task_id]}

    def write(writer: int) -> list[int]:
        versions = []
        for change in (
            {"append": f"line {writer}"},
            {"add_tags": [f"tag {writer}"]},
            {"add_items": [f"item {writer}"], "due": "+1 day"},
        ):
            data = me.update(**which, **change)
            versions.append(data["version"] if kind == "one" else data["tasks"][1]["version"])
        return versions

    answered = at_once([lambda writer=writer: write(writer) for writer in range(WRITERS)])  # type: ignore[misc]
    row = me.row(task_id)
    assert sorted(row["description"].split("\n")) == [f"line {writer}" for writer in range(WRITERS)]
    assert set(row["tags"]) == {"first", *(f"tag {writer}" for writer in range(WRITERS))}
    assert {item["text"] for item in row["checklist"]} == {f"item {writer}" for writer in range(WRITERS)}
    assert str(row["due_on"]) == f"2026-11-{22 + WRITERS}"
    assert sorted(version for versions in answered for version in versions) == list(range(2, 2 + 3 * WRITERS))
    kept = list(TaskEvent.objects.filter(pgh_obj_id=task_id).order_by("pgh_id").values_list("version", flat=True))
    assert kept == list(range(1, 2 + 3 * WRITERS))


def test_a_version_that_was_read_admits_one_of_many_writers(me: ToolUser) -> None:
    task_id = me.add()["task_id"]
    works = [
        lambda writer=writer: me.call("update_task", task_id=task_id, due=f"2026-12-0{writer + 1}", expected_version=1)
        for writer in range(WRITERS)
    ]
    answers = at_once(works)
    assert sorted(answer["data"].get("error", "") for answer in answers) == ["", *["version_conflict"] * (WRITERS - 1)]
    [winner] = [answer["data"]["due"] for answer in answers if answer["status"] == "success"]
    assert (str(me.row(task_id)["due_on"]), me.row(task_id)["version"]) == (winner, 2)


@pytest.mark.parametrize("kind", ["task_id", "task_ids"])
def test_a_repeating_task_that_many_complete_has_one_next_occurrence(me: ToolUser, kind: str) -> None:
    task_id = me.add(repeat="every day")["task_id"]
    which = {kind: task_id if kind == "task_id" else [task_id]}
    answers = at_once([lambda: me.complete(**which)] * WRITERS)
    entries = [answer if kind == "task_id" else answer["tasks"][0] for answer in answers]
    assert len({entry["next"]["task_id"] for entry in entries}) == 1
    assert [bool(answer.get("undo")) for answer in answers].count(True) == 1
    assert (Task.objects.count(), open_and_repeating()) == (2, 1)


@pytest.mark.parametrize("attempt", range(5))
def test_reopening_while_the_next_one_is_completed_leaves_one_that_repeats(me: ToolUser, attempt: int) -> None:
    first = me.add(repeat="every day")["task_id"]
    second = me.complete(task_id=first)["next"]["task_id"]
    deleted = me.delete(task_id=second)["undo"]
    at_once(
        [
            lambda: me.call("update_task", task_id=first, reopen=True),
            lambda: me.call("update_task", task_id=second, restore=True),
            lambda: me.call("update_task", undo=deleted),
            lambda: me.call("complete_task", task_id=second),
            lambda: me.call("complete_task", task_id=first),
            lambda: me.call("update_task", task_id=first, repeat="every week"),
        ]
    )
    assert open_and_repeating() <= 1


def test_an_undo_that_many_send_is_done_once(me: ToolUser) -> None:
    ids = [me.add(due="tomorrow")["task_id"] for _ in range(3)]
    name = me.update(task_ids=ids, due="+1 day", add_tags=["x"])["undo"]
    answers = at_once([lambda: me.undo(name)] * WRITERS)
    assert ["undo" in answer for answer in answers].count(True) == 1
    assert {me.row(one)["version"] for one in ids} == {3}
    assert {str(me.row(one)["due_on"]) for one in ids} == {"2026-11-22"}


def test_writers_of_the_same_tasks_in_other_orders_do_not_fail(me: ToolUser) -> None:
    ids = [me.add(due="tomorrow")["task_id"] for _ in range(8)]
    works: list[Work] = [
        lambda: me.update(task_ids=ids, due="+1 day"),
        lambda: me.update(task_ids=ids[::-1], add_tags=["x"]),
        lambda: me.update(tasks=[{"task_id": one, "priority": "low"} for one in ids[::-1]]),
        lambda: me.complete(task_ids=ids),
        lambda: me.complete(task_ids=ids[::-1]),
    ]
    at_once(works)
    assert {me.row(one)["version"] for one in ids} == {5}
