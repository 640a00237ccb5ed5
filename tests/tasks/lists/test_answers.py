"""What an answer of list_tasks shows: fields of tasks, the clock, the zone and the message."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from tasks.lists.services import list_tasks
from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from tests.support.tool_calls import refused, send
from tests.tasks.lists.conftest import NOW
from todo_mcp.users.models import User

ADDED = NOW - timedelta(days=2)
MOMENT = datetime(2026, 11, 27, 8, tzinfo=UTC)


def task(user: User, **fields: Any) -> Task:
    return TaskFactory.create(user=user, title="Call", created_at=ADDED, updated_at=ADDED, **fields)


def shown(detail: str | None = None, zone: str = "Europe/Berlin", **arguments: Any) -> dict[str, Any]:
    """The only task of Alice's list."""
    answer = list_tasks(user_id="alice", detail=detail, own_zone=zone, **arguments)  # type: ignore[arg-type]
    (one,) = answer.tasks
    return one


ALWAYS = {
    "title": "Call",
    "description": "",
    "completed": False,
    "created_at": ADDED,
    "updated_at": ADDED,
    "version": 1,
}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("columns", "full", "short"),
    [
        ({}, {}, {}),
        ({"due_on": date(2026, 11, 27)}, {"due": "2026-11-27"}, {"due": "2026-11-27"}),
        ({"due_at": MOMENT}, {"due": "2026-11-27T09:00+01:00"}, {"due": "2026-11-27T09:00+01:00"}),
        ({"priority": 3}, {"priority": "high"}, {"priority": "high"}),
        ({"tags": ["Work", "at home"]}, {"tags": ["Work", "at home"]}, {}),
        (
            {"checklist": [{"text": "a", "done": True}, {"text": "b", "done": False}]},
            {"checklist": [{"text": "a", "done": True}, {"text": "b", "done": False}]},
            {"checklist": "1/2"},
        ),
        (
            {"due_on": date(2026, 11, 27), "repeat": "FREQ=DAILY", "repeat_on": date(2026, 11, 27)},
            {"due": "2026-11-27", "repeat": "FREQ=DAILY"},
            {"due": "2026-11-27", "repeat": True},
        ),
        ({"completed": True, "completed_at": NOW}, {"completed": True, "completed_at": NOW}, {"completed": True}),
    ],
)
def test_a_row_has_the_fields_that_are_set(
    alice: User, columns: dict[str, Any], full: dict[str, Any], short: dict[str, Any]
) -> None:
    task_id = task(alice, **columns).pk
    assert shown() == {"task_id": task_id, **ALWAYS, **full}
    assert shown("short") == {"task_id": task_id, "title": "Call", **short}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "named"), [("Europe/Berlin", None), ("America/New_York", "Europe/Berlin"), ("", "Europe/Berlin")]
)
def test_a_repeating_moment_names_its_zone_if_it_is_not_that_of_the_call(
    alice: User, zone: str, named: str | None
) -> None:
    repeat = {
        "repeat": "FREQ=DAILY",
        "repeat_on": MOMENT.date(),
        "repeat_time": time(9),
        "repeat_zone": "Europe/Berlin",
    }
    task(alice, due_at=MOMENT, **repeat)
    assert shown(zone=zone).get("time_zone") == named


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"tag": "work"}, {"tags"}),
        ({"completed_on": "today"}, {"completed_at"}),
        ({"created_on": "..today"}, {"created_at"}),
        ({"sort": "updated"}, {"updated_at", "last_change"}),
        ({"sort": "due"}, set()),
        ({"sort": "newest"}, set()),
        ({"query": "call"}, set()),
    ],
)
@pytest.mark.usefixtures("now")
def test_a_short_row_also_has_what_the_list_is_filtered_or_sorted_by(
    alice: User, arguments: dict[str, Any], fields: set[str]
) -> None:
    task(alice, tags=["Work"], completed=True, completed_at=NOW)
    assert shown("short", **arguments).keys() == {"task_id", "title", "completed", *fields}


@pytest.mark.django_db
def test_a_short_row_of_the_trash_says_when_the_task_was_deleted(alice: User) -> None:
    task(alice, deleted_at=NOW)
    assert shown("short", status="deleted").keys() == {"task_id", "title", "deleted_at"}
    assert shown(status="deleted")["deleted_at"] == NOW


@pytest.mark.anyio
async def test_fifty_short_tasks_are_at_most_4500_bytes(as_alice: Caller, alice: User, orm: Orm) -> None:
    await orm(lambda: [task(alice, due_on=date(2026, 11, 27)) for _ in range(50)])
    answer = await send(as_alice, "http", "list_tasks", {"detail": "short", "status": "pending"})
    assert len(answer.envelope["data"]["tasks"]) == 50
    assert len(answer.response.content) <= 4500


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("own", "sent", "clock"),
    [
        ("", None, ("2026-11-21T16:05+00:00", "Saturday", "UTC")),
        ("Europe/Berlin", None, ("2026-11-21T17:05+01:00", "Saturday", "Europe/Berlin")),
        ("Europe/Berlin", "pacific/kiritimati", ("2026-11-22T06:05+14:00", "Sunday", "Pacific/Kiritimati")),
        ("", "America/St_Johns", ("2026-11-21T12:35-03:30", "Saturday", "America/St_Johns")),
    ],
)
@pytest.mark.usefixtures("now")
def test_every_answer_has_the_clock_in_the_zone_of_the_call(
    alice: User, own: str, sent: str | None, clock: tuple[str, str, str]
) -> None:
    for arguments in ({}, {"detail": "counts"}, {"due": "today"}):
        data = list_tasks(user_id="alice", own_zone=own, time_zone=sent, **arguments).data()  # type: ignore[arg-type]
        assert (data["now"], data["weekday"], data["time_zone"]) == clock


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("columns", "arguments", "asks"),
    [
        ({}, {}, False),
        ({"due_on": NOW.date()}, {}, True),
        ({"due_at": MOMENT}, {"detail": "short"}, True),
        ({}, {"due": "today"}, True),
        ({}, {"completed_on": "last week"}, True),
        ({}, {"created_on": "2026-11-01.."}, True),
        ({}, {"detail": "counts"}, True),
        ({}, {"query": "call"}, False),
    ],
)
def test_an_answer_that_names_a_day_asks_for_a_zone_that_is_not_known(
    alice: User, columns: dict[str, Any], arguments: dict[str, Any], asks: bool
) -> None:
    task(alice, **columns)
    answer = list_tasks(user_id="alice", **arguments)
    assert answer.data().get("time_zone_unknown") is (True if asks else None)
    assert ("ask for it" in answer.message()) is asks
    knowns: tuple[dict[str, Any], ...] = ({"own_zone": "Europe/Berlin"}, {"time_zone": "Europe/Berlin"})
    for known in knowns:
        answer = list_tasks(user_id="alice", **known, **arguments)
        assert "time_zone_unknown" not in answer.data() and "ask for it" not in answer.message()


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_a_zone_is_used_for_one_call_and_not_stored(as_alice: Caller, alice: User, orm: Orm, door: str) -> None:
    await orm(lambda: task(alice, due_at=MOMENT))
    dues = []
    for zone in ({}, {"time_zone": "Asia/Kathmandu"}, {}):
        data = (await as_alice.call(door, "list_tasks", **zone))["data"]
        dues.append(data["tasks"][0]["due"])
    assert dues == ["2026-11-27T08:00+00:00", "2026-11-27T13:45+05:45", "2026-11-27T08:00+00:00"]
    assert (await orm(lambda: User.objects.get(pk="alice"))).time_zone == ""


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("field", "values"),
    {
        "status": ["open", "any", "Deleted", "done"],
        "sort": ["oldest", "Due", "created"],
        "detail": ["long", "count"],
        "priority": ["urgent", "1", "High"],
        "due": ["soon", "3/4", "x" * 101, "2026-02-30", "a..b..c", "..", "2026-11-02..2026-11-01", "overdue..today"],
        "completed_on": ["none", "any", "overdue", "sometime"],
        "created_on": ["none", "+3 days", "every day"],
        "query": ["x" * 201, "-oat", "?!"],
        "tag": ["x" * 31, "a#b", "work, home"],
        "time_zone": ["Berlin", "XYZ", "Europe/../etc/passwd", "x" * 101],
        "cursor": ["x", "x" * 201, "MTcuMQ=="],
    }.items(),
)
async def test_a_bad_value_is_refused_by_name(as_alice: Caller, door: str, field: str, values: list[str]) -> None:
    for value in values:
        answer = await send(as_alice, door, "list_tasks", {field: value})
        refused(answer, 400, "invalid_arguments", field)
        is_day = field in ("due", "completed_on", "created_on")
        assert ({"now", "weekday", "time_zone"} <= answer.envelope["data"].keys()) is is_day


@pytest.mark.django_db
def test_several_bad_phrases_are_named_at_once(alice: User) -> None:
    with pytest.raises(Exception) as refusal:
        list_tasks(user_id="alice", due="soon", completed_on="3/4", query="-x")
    assert refusal.value.details["fields"].keys() == {"due", "completed_on", "query"}  # type: ignore[attr-defined]


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_filters_work_through_every_door(as_alice: Caller, as_bob: Caller, door: str) -> None:
    add = {"title": "Zahnarzt", "due": "tomorrow 9am", "priority": "high", "tags": ["Arzt"]}
    task_id = (await as_alice.call(door, "add_task", **add))["data"]["task_id"]
    await as_alice.call(door, "add_task", title="Milk")
    for filters in (
        {"due": "tomorrow"},
        {"priority": "high"},
        {"tag": "arzt"},
        {"query": "zahn"},
        {"task_id": task_id},
        {"due": "..next week", "tag": "ARZT", "query": "zahnarzt", "sort": "due", "created_on": "today"},
    ):
        for caller, found in ((as_alice, [task_id]), (as_bob, [])):
            data = (await caller.call(door, "list_tasks", **filters))["data"]
            assert ([row["task_id"] for row in data["tasks"]], data["total"]) == (found, len(found)), filters
    envelope = await as_alice.call(door, "list_tasks", detail="counts")
    assert envelope["data"]["counts"]["by_tag"] == {"Arzt": 1}
    json.dumps(envelope)
