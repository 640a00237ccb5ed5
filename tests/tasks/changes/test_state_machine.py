"""Random writes on one and many tasks, undone, redone and sent again: the promises of versions, undo and series hold.

``HYPOTHESIS_PROFILE=nightly`` runs more of them.
"""

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tasks.models import SEEN_FIELDS, Task
from tests.support.tag_rows import wrong_tag_rows
from tests.support.tool_user import ToolUser
from todo_mcp.users.services import create_user

indexes = st.lists(st.integers(0, 20), min_size=1, max_size=4)
dues = st.sampled_from(["today", "2026-01-05", "2031-03-30T02:30", "2030-01-31T09:00"])
repeats = st.sampled_from(["every day", "every monday at 8am", "FREQ=DAILY;COUNT=2", "3 days after completion"])
words = st.sampled_from(["milk", "Bread", "eggs"])
new_task = st.fixed_dictionaries(
    {"title": words},
    optional={
        "description": words,
        "due": dues,
        "repeat": repeats,
        "priority": st.sampled_from(["low", "high"]),
        "tags": st.lists(words, max_size=2),
        "checklist": st.lists(words, max_size=3),
    },
)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "title": words,
    "append": words,
    "due": st.sampled_from(["tomorrow", "9am", "+1 day", "-1 month", "+2 hours", "skip", "none", "friday 9am"]),
    "priority": st.sampled_from(["none", "high"]),
    "tags": st.lists(words, min_size=1, max_size=2),
    "add_tags": st.lists(words, min_size=1, max_size=2),
    "remove_tags": st.lists(words, min_size=1, max_size=2),
    "checklist": st.lists(words, min_size=1, max_size=2),
    "add_items": st.lists(words, min_size=1, max_size=2),
    "remove_items": st.sampled_from([["1"], ["*"]]),
    "check": st.sampled_from([["1"], ["*"], ["eggs"]]),
    "uncheck": st.sampled_from([["1"], ["*"]]),
    "repeat": repeats,
    "clear": st.sampled_from(["description", "due", "time", "priority", "tags", "repeat", "checklist"]).map(
        lambda name: [name]
    ),
}
# One change, or two: a call with more is often refused.
change = st.lists(st.sampled_from(list(CHANGES)), min_size=1, max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: CHANGES[name] for name in names})
)


class Writes(RuleBasedStateMachine):
    """Makes writes. Each may be refused, and then has changed nothing."""

    clear: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[int, int] = {}

    def teardown(self) -> None:
        type(self).clear()

    @initialize(task=new_task, repeating=repeats)
    def begin(self, task: dict[str, Any], repeating: str) -> None:
        self.user = ToolUser(create_user(user_id="alice", time_zone="Europe/Berlin").pk)
        self.undo_names: list[str] = []
        self._write("add_task", **task)
        self.user.add("Repeats", repeat=repeating)

    @rule(task=new_task)
    def add(self, task: dict[str, Any]) -> None:
        self._write("add_task", **task)

    @rule(tasks=st.lists(new_task, min_size=1, max_size=3))
    def add_several(self, tasks: list[dict[str, Any]]) -> None:
        self._write("add_task", tasks=tasks)

    @rule(index=indexes, several=st.booleans())
    def complete(self, index: list[int], several: bool) -> None:
        self._write("complete_task", **self._which(index, several))

    @rule(index=indexes, several=st.booleans())
    def delete(self, index: list[int], several: bool) -> None:
        self._write("delete_task", **self._which(index, several))

    @rule(index=indexes, several=st.booleans())
    def reopen(self, index: list[int], several: bool) -> None:
        self._write("update_task", reopen=True, **self._which(index, several, completed=True))

    @rule(index=indexes, several=st.booleans(), reopen=st.sampled_from([{}, {"reopen": True}]))
    def restore(self, index: list[int], several: bool, reopen: dict[str, bool]) -> None:
        self._write("update_task", restore=True, **reopen, **self._which(index, several, deleted_at__isnull=False))

    @rule(index=indexes, several=st.booleans(), arguments=change)
    def update(self, index: list[int], several: bool, arguments: dict[str, Any]) -> None:
        self._write("update_task", **self._which(index, several, deleted_at=None), **arguments)

    @rule(index=indexes, several=st.booleans(), arguments=change)
    def update_a_repeating_one(self, index: list[int], several: bool, arguments: dict[str, Any]) -> None:
        self._write("update_task", **self._which(index, several, repeat__gt=""), **arguments)

    @rule(index=indexes, title=words)
    def update_each(self, index: list[int], title: str) -> None:
        ids = self._which(index, True)["task_ids"]
        self._write("update_task", tasks=[{"task_id": one, "title": f"{title} {one}"} for one in dict.fromkeys(ids)])

    @rule(index=st.integers(0, 50))
    def undo_any(self, index: int) -> None:
        """Takes back any call, also one whose tasks have changed since."""
        if self.undo_names:
            self._write("update_task", undo=self.undo_names[index % len(self.undo_names)])

    @invariant()
    def versions_only_grow(self) -> None:
        versions = dict(Task.objects.values_list("pk", "version"))
        assert all(versions[task_id] >= version for task_id, version in self.versions.items())
        self.versions = versions

    @invariant()
    def one_open_task_of_a_series_repeats(self) -> None:
        rows = Task.objects.filter(completed=False, deleted_at=None).exclude(repeat="")
        series = [first or task_id for task_id, first in rows.values_list("pk", "series")]
        assert len(set(series)) == len(series)

    @invariant()
    def a_task_has_one_next_occurrence(self) -> None:
        rows = Task.objects.filter(deleted_at=None, previous__isnull=False).exclude(repeat="")
        previous = list(rows.filter(completed=False).values_list("previous", flat=True))
        assert len(set(previous)) == len(previous)

    @invariant()
    def the_table_of_tags_has_those_of_the_tasks(self) -> None:
        assert wrong_tag_rows() == []

    def _write(self, tool: str, **arguments: Any) -> None:
        before, versions = self._seen(), dict(Task.objects.values_list("pk", "version"))
        envelope = self.user.call(tool, **arguments)
        data = envelope["data"]
        if envelope["status"] == "error":
            assert data["error"] in ("invalid_arguments", "task_not_found", "version_conflict"), envelope
            assert self._seen() == before
            return
        after = self._seen()
        changed = {one for one, number in Task.objects.values_list("pk", "version") if versions.get(one) != number}
        assert ("undo" in data) == bool(changed), "a call has an undo if it changed something"
        assert changed == {one for one in after if after[one] != before.get(one)}
        if tool == "complete_task":
            self._check_followers(data)
        if changed:
            self._take_back(data["undo"], before, after)
            self.undo_names.append(data["undo"])

    def _check_followers(self, data: dict[str, Any]) -> None:
        for entry in data.get("tasks", [data]):
            if "next" in entry:
                follower = Task.objects.get(pk=entry["next"]["task_id"])
                assert (follower.previous, follower.deleted_at) == (entry["task_id"], None)

    def _take_back(self, name: str, before: dict[int, Any], after: dict[int, Any]) -> None:
        """Undo the call, do it again, and send the first name again."""
        undone = self.user.undo(name)
        now = self._seen()
        kept = "repeats no more" in undone["message"]
        assert {one: now[one] for one in before} == before or kept
        assert all(now[one]["deleted_at"] for one in now if one not in before)
        redone = self.user.undo(undone["undo"])
        assert self._seen() == after or "repeats no more" in redone["message"]
        again = self.user.undo(name)
        assert "undo" not in again
        assert self._seen() == after or "repeats no more" in redone["message"]

    def _which(self, index: list[int], several: bool, **those: Any) -> dict[str, Any]:
        """Some of those tasks, of all tasks if there are none, or an unknown id."""
        ids = list(Task.objects.filter(**those).order_by("pk").values_list("pk", flat=True))
        ids = ids or list(Task.objects.order_by("pk").values_list("pk", flat=True))
        chosen = [10**9 if one == 20 else ids[one % len(ids)] for one in index]
        return {"task_ids": chosen} if several else {"task_id": chosen[0]}

    def _seen(self) -> dict[int, dict[str, Any]]:
        return {row["id"]: row for row in Task.objects.values("id", *SEEN_FIELDS)}


def test_every_write_can_be_taken_back_and_done_again(committed: None, clear_tables: str) -> None:
    def clear() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(clear_tables)

    Writes.clear = staticmethod(clear)
    run_state_machine_as_test(
        Writes,
        settings=settings(
            max_examples=settings().max_examples // 2,  # each write is also undone and done again
            suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
        ),
    )
