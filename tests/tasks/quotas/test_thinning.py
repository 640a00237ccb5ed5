"""`purge` thins out old versions to the last of each day. Undo, lists by last change and the history stay right."""

import io
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from tasks.history import history
from tasks.models import Task, TaskEvent
from tasks.quotas.thinning import OLD_VERSIONS
from tests.support.operators import ACTIVITY, sign_in
from tests.support.tool_user import ToolUser
from todo_mcp.users.models import User

UTC = ZoneInfo("UTC")


@pytest.fixture
def me(committed: None, alice: User) -> ToolUser:
    return ToolUser("alice")


def day(ago: int) -> date:
    return timezone.now().date() - timedelta(days=ago)


def make_task(me: ToolUser, *days: int, title: str = "Task") -> int:
    """A task with one version on each of these days, given as how many days ago; the first one added it."""
    task_id: int = me.add(f"{title} 1")["task_id"]
    for number in range(2, len(days) + 1):
        me.update(task_id=task_id, title=f"{title} {number}")
    events = TaskEvent.objects.filter(pgh_obj_id=task_id).order_by("pgh_id")
    for number, (event, ago) in enumerate(zip(events, days, strict=True)):
        at = datetime.combine(day(ago), time(0, 0, number), UTC)
        TaskEvent.objects.filter(pk=event.pk).update(pgh_created_at=at)
    return task_id


def thin() -> int:
    return sum(OLD_VERSIONS.run())


def versions(task_id: int) -> list[int]:
    return list(TaskEvent.objects.filter(pgh_obj_id=task_id).order_by("pgh_id").values_list("version", flat=True))


CASES: dict[str, tuple[list[int], list[int]]] = {
    "one a day stays": ([40, 39, 38], [1, 2, 3]),
    "the last of each day stays": ([40, 40, 40, 39, 39], [3, 5]),
    "young ones stay": ([29, 29, 5, 5, 0, 0], [1, 2, 3, 4, 5, 6]),
    "only old ones go": ([40, 40, 32, 32, 29, 29, 0, 0], [2, 4, 5, 6, 7, 8]),
    "a task that nobody touched keeps its last version": ([60, 60], [2]),
    "one version": ([90], [1]),
}


@pytest.mark.parametrize(("days", "left"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("piece", [1, 2, 5000])
def test_the_last_old_version_of_each_day_stays(
    me: ToolUser, days: list[int], left: list[int], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.quotas.thinning.PIECE", piece)
    task_id, other = make_task(me, *days), make_task(me, *sorted(days, reverse=True), title="Other")
    task = Task.objects.values().get(pk=task_id)
    gone = len(days) - len(left)
    assert OLD_VERSIONS.count() == thin() == 2 * gone
    assert versions(task_id) == left
    assert versions(other) == left
    assert Task.objects.values().get(pk=task_id) == task | {"thinned": gone}
    assert OLD_VERSIONS.count() == thin() == 0


def test_the_old_part_of_the_day_that_is_thirty_days_ago_thins_out_by_itself(me: ToolUser) -> None:
    """The last old version stays, though a young one of the same day follows: the young one can be undone to it."""
    task_id = make_task(me, 30, 30, 30, 0)
    border = timezone.now() - timedelta(days=30)
    first, second, third, _ = TaskEvent.objects.filter(pgh_obj_id=task_id).order_by("pgh_id")
    for event, minutes in ((first, -2), (second, -1), (third, 1)):
        TaskEvent.objects.filter(pk=event.pk).update(pgh_created_at=border + timedelta(minutes=minutes))
    thin()
    assert versions(task_id)[-3:] == [2, 3, 4]
    undo = me.done("list_tasks", task_id=task_id, sort="updated")["tasks"][0]["undo"]
    assert me.undo(undo)["tasks"][0]["title"] == "Task 3"


def test_the_oldest_call_that_can_be_undone_leads_to_the_right_version(me: ToolUser) -> None:
    task_id = make_task(me, 40, 40, 31, 31)
    name = me.update(task_id=task_id, title="Young")["undo"]
    assert thin() == 2
    assert me.undo(name)["tasks"][0]["title"] == "Task 4"


def test_lists_by_last_change_are_the_same(me: ToolUser) -> None:
    for days in ([40, 40], [50, 40, 40, 40], [40, 0, 0], [33]):
        make_task(me, *days)
    answer = me.done("list_tasks", sort="updated")
    assert thin() == 3
    after = me.done("list_tasks", sort="updated")
    assert after["total"] == 4
    keys = ("task_id", "title", "version", "updated_at", "undo")
    assert [[row.get(key) for key in keys] for row in after["tasks"]] == [
        [row.get(key) for key in keys] for row in answer["tasks"]
    ]


def test_the_history_shows_what_is_left_and_offers_no_undo_over_a_gap(me: ToolUser, operator: User) -> None:
    task_id = make_task(me, 50, 40, 40, 31, 0)
    thin()
    entries, is_cut = history(user_id="alice", task_id=task_id, zone=UTC)
    assert not is_cut
    assert [[(change.before, change.after) for change in entry["changes"]] for entry in entries] == [
        [("Task 4", "Task 5")], [("Task 3", "Task 4")], [("Task 1", "Task 3")], [(None, None)],
    ]  # fmt: skip
    assert [entry["undoable"] for entry in entries] == [True, True, False, True]
    client = sign_in(operator)
    event = TaskEvent.objects.get(pgh_obj_id=task_id, version=3)
    Task.objects.filter(pk=task_id).update(title="Task 3")  # as that call had left it
    answer = client.post(f"{ACTIVITY}undo/?call={event.pk}", follow=True)
    assert ["thinned out" in str(message) for message in answer.context["messages"]] == [True]
    assert Task.objects.get(pk=task_id).title == "Task 3"


def test_an_operator_undoes_an_old_call_whose_version_before_is_there(me: ToolUser, operator: User) -> None:
    task_id = make_task(me, 50, 40)
    thin()
    client = sign_in(operator)
    event = TaskEvent.objects.get(pgh_obj_id=task_id, version=2)
    client.post(f"{ACTIVITY}undo/?call={event.pk}")
    assert Task.objects.get(pk=task_id).title == "Task 1"


def test_a_full_task_takes_changes_again_after_the_purge(me: ToolUser, settings: Settings) -> None:
    task_id = make_task(me, 40, 40, 40, 0)
    settings.QUOTA_VERSIONS = 4
    me.refused("update_task", "quota_exceeded", task_id=task_id, title="New")
    out = io.StringIO()
    call_command("purge", "--dry-run", stdout=out)
    assert "Would remove 2 old versions of tasks." in out.getvalue()
    call_command("purge", stdout=out)
    assert "Removed 2 old versions of tasks." in out.getvalue()
    me.update(task_id=task_id, title="New")
    me.update(task_id=task_id, title="Newer")
    me.refused("update_task", "quota_exceeded", task_id=task_id, title="Newest")
    assert Task.objects.get(pk=task_id).version == 6


def test_a_task_that_is_locked_is_left_for_the_next_run(me: ToolUser) -> None:
    locked, free = make_task(me, 40, 40), make_task(me, 40, 40)
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [locked])
        assert thin() == 1
    assert (versions(locked), versions(free)) == ([1, 2], [2])
    assert thin() == 1


def test_each_piece_is_a_transaction_and_writes_no_version(me: ToolUser, monkeypatch: pytest.MonkeyPatch) -> None:
    make_task(me, 40, 40, 40)
    make_task(me, 40, 40, 40)
    monkeypatch.setattr("tasks.quotas.thinning.PIECE", 3)
    with CaptureQueriesContext(connection) as queries:
        assert list(OLD_VERSIONS.run()) == [2, 2]
    assert not [query for query in queries.captured_queries if query["sql"].startswith("BEGIN")]
    assert TaskEvent.objects.count() == 2
    assert not Task.objects.exclude(thinned=2).exists()
    assert not Task.objects.exclude(version=F("thinned") + 1).exists()


def test_versions_of_tasks_that_are_gone_do_not_stop_the_purge(me: ToolUser) -> None:
    gone, there = make_task(me, 40, 40), make_task(me, 40, 40)
    Task.objects.filter(pk=gone).delete()
    assert thin() == 1
    assert versions(there) == [2]
