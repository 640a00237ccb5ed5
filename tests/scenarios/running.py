"""Runs a scenario through one door, and checks each answer and the database."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.db import connection

from tasks.models import Task, TaskEvent
from tests.scenarios.dialogue import Answer, At, Call, Scenario
from tests.scenarios.world import HOME, MOMENT, moment_of, seen, task_of
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.tool_calls import everything_of
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

OWNER, OTHER = "anna", "bob"
_FIRST_OTHER = 1001  # the id of Bob's first task


class TestClock:
    """The moment of the server. PostgreSQL keeps its own, which only the history shows.

    Each call begins a second after the one before, so that later changes have later times.
    """

    __test__ = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = moment_of(MOMENT).astimezone(UTC)
        monkeypatch.setattr("django.utils.timezone.now", lambda: self._now)

    def set(self, moment: str) -> None:
        self._now = moment_of(moment).astimezone(UTC)

    def tick(self) -> None:
        self._now += timedelta(seconds=1)


@dataclass
class Run:
    """What happened: each call with its answer, and the bytes of JSON that the model wrote and read."""

    answers: list[tuple[Call, dict[str, Any]]] = field(default_factory=list)
    sent: int = 0
    received: int = 0


def size(value: Any) -> int:
    """The bytes of a value as compact JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


async def run(scenario: Scenario, caller: Caller, door: str, orm: Orm, clock: TestClock) -> Run:
    """Play the scenario and check all that it promises."""
    tokens = await orm(lambda: _prepare(scenario))
    before, other = await orm(lambda: _tasks(OWNER)), await orm(lambda: everything_of(OTHER))
    result = Run()
    checked = True
    for line in scenario.talk:
        if isinstance(line, At):
            clock.set(line.moment)
        elif isinstance(line, Call):
            assert checked, f"no answer is expected of {result.answers[-1]}"
            clock.tick()
            arguments = _filled(line.arguments, result)
            envelope = await Caller(caller.http, tokens[line.by]).call(door, line.tool, **arguments)
            result.answers.append((Call(line.tool, arguments, line.by), envelope))
            result.sent += size(arguments)
            result.received += size(envelope)
            checked = False
        elif isinstance(line, Answer):
            _check(line, result.answers[-1][1])
            checked = True
    assert checked, "no answer is expected of the last call"
    _check_after(scenario, before, await orm(lambda: _tasks(OWNER)))
    assert await orm(_events) == await orm(_versions), "each version is in the history once"
    assert await orm(lambda: everything_of(OTHER)) == other
    zone = await orm(lambda: User.objects.get(pk=OWNER).time_zone)
    assert zone == (scenario.zone if scenario.zone_after is None else scenario.zone_after)
    return result


def _prepare(scenario: Scenario) -> dict[str, str]:
    """Create both people and their tasks. Returns the tokens."""
    tasks = HOME if scenario.tasks is None else scenario.tasks
    for user_id, first in ((OWNER, 1), (OTHER, _FIRST_OTHER)):
        User.objects.create(pk=user_id, time_zone=scenario.zone)
        Task.objects.bulk_create(task_of(task, id=first + place, user_id=user_id) for place, task in enumerate(tasks))
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('tasks', 'id'), %s)", [max(len(tasks), 1)])
    return {
        "assistant": issue_token(user_id=OWNER, name="assistant"),
        "phone": issue_token(user_id=OWNER, name="phone"),
        "service": issue_token(service="team"),
    }


def _filled(arguments: Mapping[str, Any], result: Run) -> dict[str, Any]:
    """The arguments, with a function in place of a value called with the data of the last answer."""
    return {
        name: value(result.answers[-1][1]["data"]) if callable(value) else value for name, value in arguments.items()
    }


def _tasks(user_id: str) -> dict[int, dict[str, Any]]:
    return {task.pk: seen(task) for task in Task.objects.filter(user_id=user_id)}


def _events() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for task_id, version in TaskEvent.objects.order_by("pgh_id").values_list("pgh_obj_id", "version"):
        found.setdefault(task_id, []).append(version)
    return found


def _versions() -> dict[int, list[int]]:
    return {task_id: list(range(1, last + 1)) for task_id, last in Task.objects.values_list("pk", "version")}


def _check(expected: Answer, envelope: dict[str, Any]) -> None:
    data = envelope["data"]
    assert (envelope["status"], data.get("error")) == ("error" if expected.error else "success", expected.error), (
        envelope
    )
    assert has(data, expected.data), f"{envelope}\nlacks\n{expected.data}"
    for words in expected.says:
        assert words in envelope["message"], envelope["message"]
    for name in expected.lacks:
        assert name not in data, envelope
    if expected.titles is not None:
        assert [task["title"] for task in data["tasks"]] == list(expected.titles)


def has(value: Any, part: Any) -> bool:
    """Whether the value has everything of this part."""
    if part is ...:
        return value is not None
    if isinstance(part, dict):
        return isinstance(value, dict) and all(name in value and has(value[name], part[name]) for name in part)
    if isinstance(part, list):
        return isinstance(value, list) and len(value) == len(part) and all(map(has, value, part))
    return bool(value == part)


def _check_after(scenario: Scenario, before: dict[int, dict[str, Any]], after: dict[int, dict[str, Any]]) -> None:
    expected = dict(before)
    for task_id, changes in scenario.after.items():
        old = before.get(task_id)
        new: dict[str, Any] = {"version": 1} if old is None else {**old, "version": old["version"] + 1}
        expected[task_id] = {name: value for name, value in {**new, **changes}.items() if value is not None}
    assert after == expected
