"""Compares the application with the model: after random steps in random order, through all doors, both agree.

The steps change users, tokens and tasks. ``HYPOTHESIS_PROFILE=nightly`` runs more of them.
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
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import find_token, issue_token, revoke_token
from todo_mcp.core.errors import TaskNotFound
from todo_mcp.users.services import create_user, set_active

USERS = ("alice", "bob", "Alice", "alic\u00e9", "alice\u0301")
any_index = st.integers(0, 50)  # an index into a list, modulo its length
doors = st.sampled_from(DOORS)
user_ids = st.sampled_from([None, None, None, "me", *USERS, "no-one"])
titles = st.sampled_from(["Buy milk", "Call Eve", "🥛"])
keys = st.sampled_from([None, None, "first key", "second key"])
statuses = st.sampled_from(["all", "pending", "completed"])


def call(application: Application, token: str, door: str, tool: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
    """The code and the data of a tool's answer."""
    body = json.dumps({name: value for name, value in arguments.items() if value is not None})
    headers = {"Host": "localhost:5000", "Authorization": f"Bearer {token}"}
    if door == "http":
        envelope = application.request("POST", f"/api/tools/{tool}", as_asgi(headers), body.encode()).json()
    else:
        headers |= mcp_headers(door, "tools/call", tool)
        answer = application.request("POST", "/mcp", as_asgi(headers), tool_call(door, tool, body).encode()).json()
        envelope = answer["result"]["structuredContent"] if "result" in answer else answer["error"]["data"]
    return envelope["data"].get("error_code", 200), envelope["data"]


class World(RuleBasedStateMachine):
    """Applies each step to the application and to the model, and compares the answers."""

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
        for index in (0, 1):
            self.give_token(index, set(ALL_SCOPES[:2]))
        self.give_service_token(acting=True)

    @rule(user_id=st.sampled_from(USERS))
    def add_user(self, user_id: str) -> None:
        if user_id not in self.model.active:
            create_user(user_id=user_id)
            self.model.active[user_id] = True

    @rule(index=any_index, scopes=st.sets(st.sampled_from(ALL_SCOPES[:2]), min_size=1))
    def give_token(self, index: int, scopes: set[str]) -> None:
        user_id = self._pick(self.model.active, index)
        self.model.tokens[issue_token(user_id=user_id, scopes=sorted(scopes))] = Token(user_id, frozenset(scopes))

    @rule(acting=st.booleans())
    def give_service_token(self, acting: bool) -> None:
        scopes = ALL_SCOPES if acting else ALL_SCOPES[:2]
        self.model.tokens[issue_token(service="chat", scopes=scopes)] = Token(None, frozenset(scopes))

    @rule(index=any_index, by_time=st.booleans())
    def end_token(self, index: int, by_time: bool) -> None:
        token = self._pick(self.model.tokens, index)
        record = find_token(token)
        if record and by_time:
            AccessToken.objects.filter(pk=record.pk).update(expires=timezone.now())
        elif record:
            assert revoke_token(token_id=record.pk, cause=Cause(By.COMMAND))
        if record:
            self.model.tokens[token].is_valid = False

    @rule(index=any_index, active=st.booleans())
    def switch_user(self, index: int, active: bool) -> None:
        user_id = self._pick(self.model.active, index)
        set_active(user_id=user_id, active=active)
        self.model.active[user_id] = active

    @rule(door=doors, index=any_index, user_id=user_ids, title=titles, key=keys)
    def add_task(self, door: str, index: int, user_id: str | None, title: str, key: str | None) -> None:
        token = self._pick(self.model.tokens, index)
        arguments = {"user_id": user_id, "title": title, "idempotency_key": key}
        code, data = call(self.application, token, door, "add_task", **arguments)
        try:
            owner = self.model.admit(token, "tasks:write", user_id)
            first_id = self.model.task_of_key(owner, title, key)
        except Refused as refused:
            assert code == refused.code, data
        else:
            assert code == 200, data
            assert first_id in (None, data["task_id"])
            if first_id is None:
                self.model.add(data["task_id"], owner, title, key)

    @rule(door=doors, index=any_index, user_id=user_ids, task=any_index)
    def complete_task(self, door: str, index: int, user_id: str | None, task: int) -> None:
        self._change(door, index, user_id, task, "complete_task", self.model.complete)

    @rule(door=doors, index=any_index, user_id=user_ids, task=any_index)
    def delete_task(self, door: str, index: int, user_id: str | None, task: int) -> None:
        self._change(door, index, user_id, task, "delete_task", self.model.delete)

    @rule(door=doors, index=any_index, user_id=user_ids, task=any_index, title=titles)
    def update_title(self, door: str, index: int, user_id: str | None, task: int, title: str) -> None:
        self._change(door, index, user_id, task, "update_task", self.model.update, title=title)

    @rule(door=doors, index=any_index, user_id=user_ids, task=any_index, description=st.sampled_from(["", "Soon"]))
    def update_description(self, door: str, index: int, user_id: str | None, task: int, description: str) -> None:
        self._change(door, index, user_id, task, "update_task", self.model.update, description=description)

    @rule(door=doors, index=any_index, user_id=user_ids, status=statuses, limit=st.sampled_from([1, 2, 100]))
    def list_tasks(self, door: str, index: int, user_id: str | None, status: str, limit: int) -> None:
        token = self._pick(self.model.tokens, index)
        arguments = {"user_id": user_id, "status": status, "limit": limit}
        code, data = call(self.application, token, door, "list_tasks", **arguments)
        try:
            expected = self.model.list_ids(self.model.admit(token, "tasks:read", user_id), status)
        except Refused as refused:
            assert code == refused.code, data
        else:
            assert [task["task_id"] for task in data["tasks"]] == expected[:limit]
            assert (data["total"], data["has_more"]) == (len(expected), len(expected) > limit)

    @rule(index=any_index)
    def restore_task(self, index: int) -> None:
        task_id = self._task(index)
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
        self, door: str, index: int, user_id: str | None, task: int, tool: str, change: Callable[..., None], **new: str
    ) -> None:
        token, task_id = self._pick(self.model.tokens, index), self._task(task)
        code, data = call(self.application, token, door, tool, user_id=user_id, task_id=task_id, **new)
        try:
            change(self.model.admit(token, "tasks:write", user_id), task_id, **new)
        except Refused as refused:
            assert code == refused.code, data
        else:
            assert (code, data["task_id"]) == (200, task_id)

    def _pick(self, things: dict[str, Any], index: int) -> str:
        return list(things)[index % len(things)]

    def _task(self, index: int) -> int:
        """The id of any task that was ever added, or an unknown id."""
        return [*self.model.tasks, 10**9][index % (len(self.model.tasks) + 1)]


def test_the_application_agrees_with_the_model(application: Application, clear_tables: str) -> None:
    def clear() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(clear_tables)

    World.application, World.clear = application, staticmethod(clear)
    run_state_machine_as_test(World)
