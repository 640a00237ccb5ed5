"""Users, tokens and tasks against the model: whatever happens in whatever order, through whatever door, both agree.

``HYPOTHESIS_PROFILE=nightly`` goes on for longer.
"""

import json
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from oauth2_provider.models import AccessToken

from tasks.models import Task, TaskEvent
from tasks.services import restore_task
from tests.calls.model import ALL_SCOPES, Model, Refused, Token
from tests.support.application import Application
from tests.support.caller import DOORS
from tests.support.mcp_messages import as_asgi, mcp_headers, tool_call
from todo_mcp.auth.tokens import find_token, issue_token, revoke_token
from todo_mcp.core.errors import TaskNotFound
from todo_mcp.users.services import create_user, set_active

USERS = ("alice", "bob", "Alice", "alic\u00e9", "alice\u0301")
any_place = st.integers(0, 50)  # of a list, modulo its length
doors = st.sampled_from(DOORS)
user_ids = st.sampled_from([None, None, None, "me", *USERS, "no-one"])
titles = st.sampled_from(["Buy milk", "Call Eve", "🥛"])
keys = st.sampled_from([None, None, "first key", "second key"])
statuses = st.sampled_from(["all", "pending", "completed"])


def call(application: Application, token: str, door: str, tool: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
    """The code and the data of the answer of a tool."""
    given = json.dumps({name: value for name, value in arguments.items() if value is not None})
    headers = {"Host": "localhost:5000", "Authorization": f"Bearer {token}"}
    if door == "http":
        envelope = application.request("POST", f"/api/tools/{tool}", as_asgi(headers), given.encode()).json()
    else:
        headers |= mcp_headers(door, "tools/call", tool)
        answer = application.request("POST", "/mcp", as_asgi(headers), tool_call(door, tool, given).encode()).json()
        envelope = answer["result"]["structuredContent"] if "result" in answer else answer["error"]["data"]
    return envelope["data"].get("error_code", 200), envelope["data"]


class World(RuleBasedStateMachine):
    """Does the same to the application and to the model, and compares the answers."""

    application: Application
    clear: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def teardown(self) -> None:
        type(self).clear()

    @initialize()
    def begin(self) -> None:
        for user_id in USERS[:2]:
            self.add_user(user_id)
        for place in (0, 1):
            self.give_token(place, set(ALL_SCOPES[:2]))
        self.give_service_token(acting=True)

    @rule(user_id=st.sampled_from(USERS))
    def add_user(self, user_id: str) -> None:
        if user_id not in self.model.active:
            create_user(user_id=user_id)
            self.model.active[user_id] = True

    @rule(place=any_place, scopes=st.sets(st.sampled_from(ALL_SCOPES[:2]), min_size=1))
    def give_token(self, place: int, scopes: set[str]) -> None:
        user_id = self._pick(self.model.active, place)
        self.model.tokens[issue_token(user_id=user_id, scopes=sorted(scopes))] = Token(user_id, frozenset(scopes))

    @rule(acting=st.booleans())
    def give_service_token(self, acting: bool) -> None:
        scopes = ALL_SCOPES if acting else ALL_SCOPES[:2]
        self.model.tokens[issue_token(service="chat", scopes=scopes)] = Token(None, frozenset(scopes))

    @rule(place=any_place, by_time=st.booleans())
    def end_token(self, place: int, by_time: bool) -> None:
        token = self._pick(self.model.tokens, place)
        record = find_token(token)
        if record and by_time:
            AccessToken.objects.filter(pk=record.pk).update(expires=timezone.now())
        elif record:
            assert revoke_token(token_id=record.pk)
        if record:
            self.model.tokens[token].living = False

    @rule(place=any_place, active=st.booleans())
    def switch_user(self, place: int, active: bool) -> None:
        user_id = self._pick(self.model.active, place)
        set_active(user_id=user_id, active=active)
        self.model.active[user_id] = active

    @rule(door=doors, place=any_place, user_id=user_ids, title=titles, key=keys)
    def add_task(self, door: str, place: int, user_id: str | None, title: str, key: str | None) -> None:
        token = self._pick(self.model.tokens, place)
        arguments = {"user_id": user_id, "title": title, "idempotency_key": key}
        code, data = call(self.application, token, door, "add_task", **arguments)
        try:
            owner = self.model.admit(token, "tasks:write", user_id)
            known = self.model.repeated(owner, title, key)
        except Refused as refused:
            assert code == refused.code, data
        else:
            assert code == 200, data
            assert known in (None, data["task_id"])
            if known is None:
                self.model.add(data["task_id"], owner, title, key)

    @rule(door=doors, place=any_place, user_id=user_ids, task=any_place)
    def complete_task(self, door: str, place: int, user_id: str | None, task: int) -> None:
        self._change(door, place, user_id, task, "complete_task", self.model.complete)

    @rule(door=doors, place=any_place, user_id=user_ids, task=any_place)
    def delete_task(self, door: str, place: int, user_id: str | None, task: int) -> None:
        self._change(door, place, user_id, task, "delete_task", self.model.delete)

    @rule(door=doors, place=any_place, user_id=user_ids, task=any_place, title=titles)
    def update_title(self, door: str, place: int, user_id: str | None, task: int, title: str) -> None:
        self._change(door, place, user_id, task, "update_task", self.model.update, title=title)

    @rule(door=doors, place=any_place, user_id=user_ids, task=any_place, description=st.sampled_from(["", "Soon"]))
    def update_description(self, door: str, place: int, user_id: str | None, task: int, description: str) -> None:
        self._change(door, place, user_id, task, "update_task", self.model.update, description=description)

    @rule(door=doors, place=any_place, user_id=user_ids, status=statuses, limit=st.sampled_from([1, 2, 100]))
    def list_tasks(self, door: str, place: int, user_id: str | None, status: str, limit: int) -> None:
        token = self._pick(self.model.tokens, place)
        arguments = {"user_id": user_id, "status": status, "limit": limit}
        code, data = call(self.application, token, door, "list_tasks", **arguments)
        try:
            expected = self.model.listed(self.model.admit(token, "tasks:read", user_id), status)
        except Refused as refused:
            assert code == refused.code, data
        else:
            assert [task["task_id"] for task in data["tasks"]] == expected[:limit]
            assert (data["total"], data["has_more"]) == (len(expected), len(expected) > limit)

    @rule(place=any_place)
    def restore_task(self, place: int) -> None:
        task_id = self._task(place)
        if task_id not in self.model.tasks:
            return
        try:
            self.model.restore(task_id)
        except Refused:
            expected = False
        else:
            expected = True
        try:
            restore_task(user_id=self.model.tasks[task_id].user_id, task_id=task_id)
        except TaskNotFound:
            assert not expected
        else:
            assert expected

    @invariant()
    def the_database_holds_what_the_model_says(self) -> None:
        columns = ("id", "user_id", "title", "description", "completed")
        rows = {(*row[:5], row[5] is not None) for row in Task.objects.values_list(*columns, "deleted_at")}
        assert rows == {
            (task_id, task.user_id, task.title, task.description, task.completed, task.deleted)
            for task_id, task in self.model.tasks.items()
        }
        assert TaskEvent.objects.count() == self.model.changes

    def _change(
        self, door: str, place: int, user_id: str | None, task: int, tool: str, change: Callable[..., None], **new: str
    ) -> None:
        token, task_id = self._pick(self.model.tokens, place), self._task(task)
        code, data = call(self.application, token, door, tool, user_id=user_id, task_id=task_id, **new)
        try:
            change(self.model.admit(token, "tasks:write", user_id), task_id, **new)
        except Refused as refused:
            assert code == refused.code, data
        else:
            assert (code, data["task_id"]) == (200, task_id)

    def _pick(self, things: dict[str, Any], place: int) -> str:
        return list(things)[place % len(things)]

    def _task(self, place: int) -> int:
        """One of the tasks that there ever were, or none."""
        return [*self.model.tasks, 10**9][place % (len(self.model.tasks) + 1)]


def test_the_application_agrees_with_the_model(application: Application, clear_tables: str) -> None:
    def clear() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(clear_tables)

    World.application, World.clear = application, staticmethod(clear)
    run_state_machine_as_test(World)
