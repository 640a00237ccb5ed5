"""Three writers call at the same moment, again and again. Each outcome is that of some order of their calls.

``HYPOTHESIS_PROFILE=nightly`` runs more of them.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import permutations
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pytest_django.fixtures import Settings

from conversations.models import Conversation, Message
from tests.conversations.changes.model import Answer, Call, Key, Model, Row, Stored
from tests.conversations.test_putting import counts_agree
from tests.support.application import Application, running
from tests.support.chat_backend import START
from tests.support.mcp_messages import as_asgi
from tests.support.processes import eventually
from todo_mcp.auth.tokens import issue_token
from todo_mcp.calls import retries
from todo_mcp.users.services import create_user

WRITERS = 3
REFS = ("a", "b", "c")
PAGE = 100
METHODS = {
    "put_conversation": "PUT",
    "delete_conversation": "DELETE",
    "append_messages": "POST",
    "put_message": "PUT",
    "delete_message": "DELETE",
    "get_message": "GET",
    "list_messages": "GET",
}
OPERATIONS = [*METHODS, *["append_messages"] * 5, *["put_message"] * 2]
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
INDEXES = range(12)
any_index = st.sampled_from(INDEXES)
sometimes = st.sampled_from([None] * len(INDEXES) + [*INDEXES])
seldom = st.sampled_from([None] * 5 * len(INDEXES) + [*INDEXES])


@dataclass(frozen=True)
class Draft:
    """A call whose targets are numbers. The state at that time gives them their names."""

    operation: str
    conversation: int
    message: int
    refs: list[str | None]
    item: Row
    replace: int | None
    expected_last: int | None
    query: Row
    idempotency_key: str | None
    again: int | None  # sends an earlier call with a key once more


drafts = st.builds(
    Draft,
    operation=st.sampled_from(OPERATIONS),
    conversation=any_index,
    message=any_index,
    refs=st.lists(st.sampled_from([None, None, *REFS]), min_size=1, max_size=3),
    item=st.sampled_from([{}, {"item": {"call": "x\ny"}}, {"item": {}}]),
    replace=sometimes,
    expected_last=sometimes,
    query=st.sampled_from([{}, {"order": "asc"}, {"order": "desc"}, {"last": 2}]),
    idempotency_key=st.sampled_from([None] * 30 + [f"key number {n}" for n in range(30)]),
    again=seldom,
)


class World(RuleBasedStateMachine):
    """Applies each batch of calls to the application and, in each order, to the model."""

    application: Application
    watcher: "psycopg.Connection[Any]"
    clear: Callable[[], None]
    unexplained = ""  # Hypothesis reports only that a repetition went otherwise

    def __init__(self) -> None:
        super().__init__()
        self.model = Model("alice")
        self.stored: dict[int, Stored] = {}
        self.with_key: list[Call] = []
        self.number = 0

    def teardown(self) -> None:
        type(self).clear()

    @initialize()
    def begin(self) -> None:
        create_user(user_id="alice")
        own = {"Authorization": f"Bearer {issue_token(user_id='alice')}"}
        service = {"Authorization": f"Bearer {issue_token(service='chat')}"}
        self.writers: list[tuple[dict[str, str], Row]] = [(own, {}), (service, {"user_id": "alice"}), (own, {})]
        self._batch([Call("put_conversation", ref, sent=({},)) for ref in ("one", "two")], meet=False)

    @rule(
        batch=st.lists(drafts, min_size=2, max_size=WRITERS),
        twice=st.sampled_from([False, False, True]),
        meet=st.booleans(),
    )
    def call_at_once(self, batch: list[Draft], twice: bool, meet: bool) -> None:
        calls = [self._call(draft) for draft in batch]
        if twice:
            calls[-1] = calls[0]
        self._batch(calls, meet)

    @rule(limit=st.integers(1, 4), order=st.sampled_from(["asc", "desc"]))
    def read_page_by_page(self, limit: int, order: str) -> None:
        for chat_id, chat in self.model.chats.items():
            rows: list[Row] = []
            cursor: Row | None = {}
            while cursor is not None:
                _, page = self._send(Call("list_messages", chat_id, query={"limit": limit, "order": order, **cursor}))
                rows += page["messages"]
                cursor = {"cursor": page["next_cursor"]} if page["has_more"] else None
            assert rows == list(chat.messages)[:: 1 if order == "asc" else -1]

    def _batch(self, calls: Sequence[Call], meet: bool) -> None:
        """Send the calls at once. With ``meet``, those that change messages wait together, and go on together."""
        with ThreadPoolExecutor(WRITERS) as pool, self._held(meet) as sent:
            sent += [pool.submit(self._send, call, writer) for writer, call in enumerate(calls)]
        done = list(zip(calls, [future.result() for future in sent], strict=True))
        stored = _stored()
        for order in permutations(done):
            after = self.model.copy()
            if all(after.explains(*one) for one in order) and after.has(stored, self.stored):
                break
        else:
            World.unexplained = f"no order explains {done}\nbefore: {self.model}\nafter: {stored}"
            raise AssertionError
        assert counts_agree() or not stored
        self.model, self.stored = after, stored
        self.with_key += [call for call in calls if call.idempotency_key]

    @contextmanager
    def _held(self, meet: bool) -> Iterator[list[Future[Answer]]]:
        sent: list[Future[Answer]] = []
        with transaction.atomic():
            if meet:
                list(Conversation.objects.order_by("pk").select_for_update())
            yield sent
            eventually(lambda: self._waiting() + sum(one.done() for one in sent) >= len(sent), "all calls to meet")

    def _waiting(self) -> int:
        [[count]] = self.watcher.execute(_WAITING)
        return int(count)

    def _send(self, call: Call, writer: int = 0) -> Answer:
        headers, user = self.writers[writer]
        if call.idempotency_key:
            headers = {**headers, "Idempotency-Key": call.idempotency_key}
        path = f"{START}/{call.conversation}"
        if call.operation.endswith(("messages", "message")):
            path += "/messages" if call.message is None else f"/messages/{call.message}"
        body: Any = list(call.sent) if call.operation == "append_messages" else next(iter(call.sent), None)
        reply = self.application.request(
            METHODS[call.operation],
            path,
            as_asgi({"Host": "localhost:5000", "Content-Type": "application/json", **headers}),
            b"" if body is None else json.dumps(body).encode(),
            query=urlencode({**user, **call.query}).encode(),
        )
        return Answer(reply.status, reply.json() if reply.body else None)

    def _call(self, draft: Draft) -> Call:
        if draft.again is not None and self.with_key:
            return self.with_key[-1 - draft.again % len(self.with_key)]
        self.number += 1
        conversation = self._conversation(draft.conversation)
        message = self._message(conversation, draft.message)
        match draft.operation:
            case "put_conversation":
                return Call(draft.operation, conversation, sent=({"title": f"{draft.message}"},))
            case "delete_conversation":
                return Call(draft.operation, conversation)
            case "append_messages":
                return self._append(draft, conversation)
            case "put_message":
                sent = {"role": "assistant", "content": f"put {draft.replace}", **draft.item}
                return Call(draft.operation, conversation, message, sent=(sent,))
            case "list_messages":
                after = {"limit": 2 + draft.message} if draft.replace else {"after": message, "limit": PAGE}
                return Call(
                    draft.operation,
                    conversation,
                    query=draft.query if "last" in draft.query else {**draft.query, **after},
                )
        return Call(draft.operation, conversation, message)

    def _append(self, draft: Draft, conversation: Key) -> Call:
        turn = tuple(
            {"role": "user", "content": f"{self.number}.{n}", **draft.item, **({"ref": ref} if ref else {})}
            for n, ref in enumerate(draft.refs)
        )
        query: dict[str, Key] = {}
        if draft.replace is not None:
            query["replace"] = self._message(conversation, draft.replace)
        if draft.expected_last is not None:
            ids = self._ids(conversation)
            last = ids[-1] if ids else 0
            names = [last] * 6 + [0, *(self._message(conversation, n) for n in range(5))]
            query["expected_last"] = names[draft.expected_last]
        return Call(draft.operation, conversation, sent=turn, query=query, idempotency_key=draft.idempotency_key)

    def _conversation(self, index: int) -> Key:
        """Mostly the first conversation; sometimes its id, the second, a missing one, or the id of a deleted one."""
        names = [self.model.find("one"), "two", self.model.find("two"), "three", *sorted(self.model.used_by_chats)[:1]]
        present = [name for name in names if name]
        return "one" if index < 6 else present[index % len(present)]

    def _message(self, conversation: Key, index: int) -> Key:
        """Mostly a ref or one of the last messages; sometimes the first, a removed one, or one of elsewhere."""
        ids = self._ids(conversation)
        names: list[Key] = [*ids[:-4:-1], *REFS, *ids[:1], *sorted(self.model.used - set(ids))[-2:], 10**9]
        return names[index % len(names)]

    def _ids(self, conversation: Key) -> list[int]:
        chat_id = self.model.find(conversation)
        return [row["id"] for row in self.model.chats[chat_id].messages] if chat_id else []


def _stored() -> dict[int, Stored]:
    messages: dict[int, list[Row]] = {}
    columns = ("id", "ref", "conversation_id", "user_id", "role", "content", "item", "created_at")
    for row in Message.objects.order_by("id").values(*columns):
        row["created_at"] = row["created_at"].isoformat().replace("+00:00", "Z")
        row["item"] = json.loads(row["item"]) if row["item"] else None
        shown = {name: value for name, value in row.items() if value is not None}
        messages.setdefault(row["conversation_id"], []).append(shown)
    return {
        chat.pk: Stored(chat.ref or "", chat.title, tuple(messages.get(chat.pk, ())), chat.updated_at)
        for chat in Conversation.objects.all()
    }


def test_what_writers_do_at_once_is_what_they_would_do_one_after_another(
    committed: None, clear_tables: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clear() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(clear_tables)

    settings.DATABASE_CONNECTIONS = 2 * WRITERS  # one user gets half of the places
    monkeypatch.setattr(retries, "RETRIABLE", frozenset())  # a deadlock is then an answer that no order explains
    with running() as application, psycopg.connect(**connection.get_connection_params(), autocommit=True) as watcher:
        World.application, World.watcher, World.clear = application, watcher, staticmethod(clear)
        try:
            run_state_machine_as_test(
                World,
                settings=hypothesis_settings(
                    max_examples=hypothesis_settings().max_examples // 2, phases=[Phase.generate]
                ),
            )
        finally:
            assert not World.unexplained, World.unexplained
