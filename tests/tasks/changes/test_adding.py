"""add_task with due dates, priorities, tags and checklists: what is understood, stored, answered and refused."""

from typing import Any

import pytest

from tasks.models import Task
from tests.support.tool_user import ToolUser
from todo_mcp.auth.tokens import issue_token

CLOCK = {"now": "2026-11-21T17:05+01:00", "weekday": "Saturday", "time_zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("arguments", "answered", "in_message"),
    [
        (
            {"due": "friday 9am"},
            {"due": "2026-11-27T09:00+01:00"},
            "due Friday 27 November 2026, 09:00 (Europe/Berlin).",
        ),
        ({"due": "tomorrow"}, {"due": "2026-11-22"}, "due tomorrow, Sunday 22 November 2026."),
        ({"due": "2026-11-20"}, {"due": "2026-11-20"}, "It is overdue."),
        ({"due": "None"}, {}, "Call the bank."),
        ({"priority": "high"}, {"priority": "high"}, "Call the bank."),
        ({"priority": "none"}, {}, "Call the bank."),
        ({"tags": ["Home ", "home", "two  words"]}, {"tags": ["Home", "two words"]}, "Call the bank."),
        (
            {"checklist": ["Milk", "Bread"]},
            {"checklist": [{"text": "Milk", "done": False}, {"text": "Bread", "done": False}]},
            "",
        ),
        (
            {"repeat": "every monday at 8am"},
            {"due": "2026-11-23T08:00+01:00", "repeat": "FREQ=WEEKLY;BYDAY=MO"},
            "It repeats",
        ),
        ({"repeat": "none", "due": "today"}, {"due": "2026-11-21"}, "due today, Saturday 21 November 2026."),
    ],
)
def test_what_is_set_is_answered_and_stored(
    me: ToolUser, arguments: dict[str, Any], answered: dict[str, Any], in_message: str
) -> None:
    data = me.add(**arguments)
    assert {name: data[name] for name in ("due", "priority", "tags", "repeat", "checklist") if name in data} == answered
    assert in_message in data["message"]
    assert {name: data[name] for name in CLOCK if name in data} == (CLOCK if "due" in answered else {})
    assert "time_zone_unknown" not in data
    listed = me.undo(me.delete(task_id=data["task_id"])["undo"])["tasks"][0]
    assert {name: listed[name] for name in answered} == answered


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"due": "soon"}, ["due"]),
        ({"due": "3/4"}, ["due"]),
        ({"due": "+1 day"}, ["due"]),
        ({"due": "skip"}, ["due"]),
        ({"due": "x" * 101}, ["due"]),
        ({"due": 7}, ["due"]),
        ({"repeat": "sometimes"}, ["repeat"]),
        ({"repeat": "FREQ=DAILY;UNTIL=20200101"}, ["repeat"]),
        ({"repeat": "every day at 8am", "due": "tomorrow 9am"}, ["repeat"]),
        ({"due": "soon", "repeat": "sometimes"}, ["due"]),
        ({"priority": "urgent"}, ["priority"]),
        ({"tags": ["a"] * 11}, ["tags"]),
        ({"tags": ["x" * 31]}, ["tags.0"]),
        ({"tags": ["home", "#work"]}, ["tags.1"]),
        ({"tags": ["home", ""]}, ["tags.1"]),
        ({"tags": "home"}, ["tags"]),
        ({"checklist": ["x"] * 51}, ["checklist"]),
        ({"checklist": ["x" * 201]}, ["checklist.0"]),
        ({"checklist": ["Milk", " "]}, ["checklist.1"]),
        ({"checklist": ["a\x00b"]}, ["checklist.0"]),
        ({"checklist": [{"text": "Milk"}]}, ["checklist.0"]),
        ({"time_zone": "Factory"}, ["time_zone"]),
        ({"time_zone": "Europe/Atlantis", "due": "tomorrow"}, ["time_zone"]),
        ({"tasks": [{"title": "x"}]}, ["title"]),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_stored(
    me: ToolUser, arguments: dict[str, Any], fields: list[str]
) -> None:
    me.invalid("add_task", *fields, title="Call the bank", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"due": "asap"},
        {"due": 5},
        {"due": "x" * 101},
        {"repeat": "sometimes"},
        {"repeat": ["daily"]},
        {"due": "3/4", "time_zone": "Asia/Tokyo"},
        {"due": 5, "time_zone": "Asia/Tokyo"},
    ],
)
def test_the_refusal_of_a_day_says_what_the_clock_says(me: ToolUser, arguments: dict[str, Any]) -> None:
    refusal = me.invalid("add_task", next(iter(arguments)), title="x", **arguments)
    zone = arguments.get("time_zone", "Europe/Berlin")
    now, weekday = ("2026-11-22T01:05+09:00", "Sunday") if zone == "Asia/Tokyo" else (CLOCK["now"], CLOCK["weekday"])
    assert (refusal["now"], refusal["weekday"], refusal["time_zone"]) == (now, weekday, zone)


@pytest.mark.parametrize("who", ["person", "service"])
def test_the_refusal_of_a_day_of_a_wrong_type_has_the_clock_of_every_tool(me: ToolUser, who: str) -> None:
    caller = me if who == "person" else ToolUser("alice", issue_token(service="chat"), user_id="alice")
    refusals = [
        caller.invalid("add_task", "tasks.0.due", tasks=[{"title": "x", "due": 5}]),
        caller.invalid("update_task", "due", task_id=1, due=5),
        caller.invalid("list_tasks", "due", due=5),
        caller.invalid("list_tasks", "completed_on", completed_on=["today"]),
        caller.invalid("add_task", "due", "time_zone", title="x", due=5, time_zone=5),
        caller.invalid("add_task", "due", title="x", due=5, time_zone="Mars/Base"),
        caller.invalid("add_task", "due", title="x", due=5, time_zone=" europe/berlin "),
        caller.invalid("update_task", "due", task_id=1, due="none", repeat="every day"),
        caller.invalid("update_task", "due", tasks=[{"task_id": 1, "title": "x"}], due="today"),
    ]
    for refusal in refusals:
        assert {name: refusal.get(name) for name in CLOCK} == CLOCK
        assert "time_zone_unknown" not in refusal
    assert not caller.invalid("add_task", "priority", title="x", priority=5).keys() & CLOCK.keys()


def test_the_limits_themselves_are_accepted(me: ToolUser) -> None:
    most: dict[str, Any] = {
        "tags": [f"tag {n}" for n in range(10)],
        "checklist": [f"{n} " + "x" * 190 for n in range(50)],
    }
    data = me.add(**most)
    assert data["tags"] == most["tags"]
    assert [item["text"] for item in data["checklist"]] == most["checklist"]


def test_several_tasks_are_added_in_order_with_one_undo(me: ToolUser) -> None:
    sent = [
        {"title": "Buy milk", "due": "tomorrow", "tags": ["shop"]},
        {"title": "Call Eve", "due": None, "priority": "", "description": "About the party"},
        {"title": "Water", "repeat": "every day", "checklist": ["Fern"]},
    ]
    data = me.done("add_task", tasks=sent)
    assert [task["title"] for task in data["tasks"]] == ["Buy milk", "Call Eve", "Water"]
    assert [task.get("due") for task in data["tasks"]] == ["2026-11-22", None, "2026-11-21"]
    assert all({"task_id", "version", "created_at", "updated_at"} <= task.keys() for task in data["tasks"])
    assert data["message"].startswith("Added 3 tasks: Buy milk, due tomorrow, Sunday 22 November 2026; Call Eve; Water")
    assert [me.row(task["task_id"])["description"] for task in data["tasks"]] == ["", "About the party", ""]
    me.undo(data["undo"])
    assert not Task.objects.filter(deleted_at=None).exists()


@pytest.mark.parametrize(
    ("tasks", "beside", "fields"),
    [
        ([{"title": "x"}] * 51, {}, ["tasks"]),
        ([{"title": "x"}, {"title": ""}], {}, ["tasks.1.title"]),
        ([{"title": "x"}, {}], {}, ["tasks.1.title"]),
        ([{"title": "x"}, {"title": "y", "due": "soon"}], {}, ["tasks.1.due"]),
        (
            [{"title": "x", "due": "3/4"}, {"title": "y", "repeat": "now and then"}],
            {},
            ["tasks.0.due", "tasks.1.repeat"],
        ),
        ([{"title": "x", "tags": ["#"]}], {}, ["tasks.0.tags.0"]),
        ([{"title": "x", "task_id": 7}], {}, ["tasks.0.task_id"]),
        (["x"], {}, ["tasks.0"]),
        ({"title": "x"}, {}, ["tasks"]),
        ([{"title": "x"}], {"due": "today", "priority": "low"}, ["due", "priority"]),
    ],
)
def test_one_wrong_task_of_several_stops_all(
    me: ToolUser, tasks: Any, beside: dict[str, Any], fields: list[str]
) -> None:
    me.invalid("add_task", *fields, tasks=tasks, **beside)


def test_a_key_answers_its_first_undo_and_adds_several_tasks_once(me: ToolUser) -> None:
    arguments = {"tasks": [{"title": "a", "due": "tomorrow"}, {"title": "b"}], "idempotency_key": "a-key-of-my-own"}
    first, again = me.done("add_task", **arguments), me.done("add_task", **arguments)
    assert {**again, "message": ""} == {**first, "message": ""}
    assert "already added 2 tasks" in again["message"]
    assert Task.objects.count() == 2
    me.refused("add_task", "idempotency_conflict", **{**arguments, "tasks": [{"title": "a"}]})


def test_a_service_adds_for_the_user_it_names_in_that_users_zone(me: ToolUser) -> None:
    service = ToolUser("alice", issue_token(service="chat"), user_id="alice")
    for _ in range(2):  # at the second call, the worker remembers the token and the zone
        assert service.add(due="tomorrow 9am")["due"] == "2026-11-22T09:00+01:00"
    ToolUser("alice", service.token).invalid("add_task", "user_id", title="x", due="tomorrow")
