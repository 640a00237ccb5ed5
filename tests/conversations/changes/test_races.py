"""Races that a test holds open: another transaction has a lock until the calls wait behind each other."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import psycopg
import pytest
from django.db import connection
from django.db.models.expressions import RawSQL
from django.utils import timezone
from pytest_django.fixtures import Settings

from conversations.models import Conversation, Message
from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, append, messages_of, refused, send, start
from tests.support.processes import eventually
from todo_mcp.calls import retries
from todo_mcp.operators.user_data import delete_user
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
MESSAGE = {"role": "user", "content": "Hello"}
T = TypeVar("T")


class Lock:
    """The transaction of somebody else. What it locks stays locked until ``release``."""

    def __init__(self) -> None:
        self._holder = psycopg.connect(**connection.get_connection_params())
        self._watcher = psycopg.connect(**connection.get_connection_params(), autocommit=True)

    def take(self, sql: str, *values: object) -> None:
        self._holder.execute(sql, values)

    def release(self) -> None:
        self._holder.commit()

    async def waits(self, work: Coroutine[Any, Any, T], others: int = 0) -> "asyncio.Task[T]":
        """Start the work. Returns when it waits for a lock, beside ``others``, or is done."""
        task = asyncio.ensure_future(work)
        await asyncio.to_thread(eventually, lambda: task.done() or self._waiting() > others, "the work to wait")
        return task

    def _waiting(self) -> int:
        [[count]] = self._watcher.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(count)

    def close(self) -> None:
        self._holder.close()
        self._watcher.close()


@pytest.fixture
def lock(committed: None) -> Iterator[Lock]:
    lock = Lock()
    yield lock
    lock.close()


@pytest.fixture(autouse=True)
def deadlocks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server would otherwise try the victim of a deadlock again."""
    monkeypatch.setattr(retries, "RETRIABLE", frozenset())


@pytest.mark.parametrize("removal", ["DELETE", "replace"])
async def test_a_task_that_is_made_from_a_message_while_it_is_removed_is_refused(
    as_alice: Caller, as_service: Caller, orm: Orm, lock: Lock, removal: str
) -> None:
    conversation = await start(as_alice)
    [message] = await append(as_alice, conversation, "Remind me to call the bank.")
    lock.take("SELECT FROM messages WHERE id = %s FOR KEY SHARE", message["id"])
    url = messages_of(conversation)
    if removal == "DELETE":
        removing = await lock.waits(send(as_alice, "DELETE", f"{url}/{message['id']}"))
    else:
        removing = await lock.waits(send(as_alice, "POST", f"{url}?replace={message['id']}", json=[MESSAGE]))
    origin = {"conversation_id": conversation, "message_id": message["id"]}
    adding = await lock.waits(as_service.post("add_task", user_id="alice", title="Call", **origin), others=1)
    lock.release()
    assert (await removing).status_code in (201, 204)
    assert (await adding).json()["data"]["fields"] == {"message_id": "is not a message of this conversation"}
    assert await orm(Task.objects.count) == 0


def store_last(task_id: int) -> None:
    """Give the task's row a place behind those of the others, where a statement without an order finds it last."""
    for _ in range(100):
        Task.objects.filter(pk=task_id).update(created_at=timezone.now())  # it is in an index, so its entries move too
        if list(Task.objects.order_by(RawSQL("ctid", []).asc()).values_list("pk", flat=True))[-1] == task_id:
            return
    raise AssertionError


@pytest.mark.parametrize("removed", ["message", "conversation"])
async def test_a_removal_and_a_completion_of_the_tasks_that_were_made_there_do_not_deadlock(
    as_alice: Caller, as_service: Caller, orm: Orm, lock: Lock, removed: str
) -> None:
    conversation = await start(as_alice)
    [message] = await append(as_alice, conversation, "Remind me to call the bank.")
    origin = {"conversation_id": conversation} | ({"message_id": message["id"]} if removed == "message" else {})
    added = [
        (await as_service.call("http", "add_task", user_id="alice", title=f"{n}", **origin))["data"]["task_id"]
        for n in range(3)
    ]
    await orm(lambda: store_last(added[0]))
    lock.take("SELECT FROM tasks WHERE id = %s FOR UPDATE", added[1])
    path = f"{messages_of(conversation)}/{message['id']}" if removed == "message" else f"{START}/{conversation}"
    removing = await lock.waits(send(as_alice, "DELETE", path))
    completing = await lock.waits(as_alice.post("complete_task", task_ids=added), others=1)
    lock.release()
    assert [(await removing).status_code, (await completing).status_code] == [204, 200]
    assert await orm(Task.objects.filter(message=None, completed=True).count) == 3


@pytest.mark.parametrize("change", ["put", "append", "delete"])
async def test_a_change_while_the_user_is_erased_does_not_deadlock(
    as_alice: Caller, orm: Orm, lock: Lock, change: str
) -> None:
    conversation = await start(as_alice)
    first, second = await append(as_alice, conversation, "a", "b")
    lock.take("SELECT FROM messages WHERE id = %s FOR KEY SHARE", second["id"])
    url = messages_of(conversation)
    erasing = await lock.waits(orm(lambda: delete_user(user_id="alice")))
    calls = {
        "put": send(as_alice, "PUT", f"{url}/{first['id']}", json=MESSAGE),
        "append": send(as_alice, "POST", url, json=MESSAGE),
        "delete": send(as_alice, "DELETE", f"{url}/{first['id']}"),
    }
    call = calls.pop(change)
    for other in calls.values():
        other.close()
    changing = await lock.waits(call, others=1)
    lock.release()
    assert (await erasing)["messages"] == 2
    refused(await changing, 404, "conversation_not_found")
    assert await orm(User.objects.count) == 0


async def test_an_erasure_that_begins_during_an_append_waits_for_it(as_alice: Caller, orm: Orm, lock: Lock) -> None:
    conversation = await start(as_alice)
    lock.take("LOCK TABLE messages IN SHARE MODE")
    appending = await lock.waits(append(as_alice, conversation, "a", "b"))
    erasing = await lock.waits(orm(lambda: delete_user(user_id="alice")), others=1)
    lock.release()
    assert len(await appending) == 2
    assert (await erasing)["messages"] == 2
    assert await orm(Message.objects.count) == 0


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_conversation_that_is_made_while_the_user_is_erased_is_refused(
    as_alice: Caller, orm: Orm, lock: Lock, method: str
) -> None:
    lock.take("SELECT FROM users WHERE id = 'alice' FOR UPDATE")
    path, body = (f"{START}/chat", {}) if method == "PUT" else (START, {"ref": "chat"})
    making = await lock.waits(send(as_alice, method, path, json=body))
    lock.take("DELETE FROM oauth2_provider_accesstoken")
    lock.take("DELETE FROM oauth2_provider_application")
    lock.take("DELETE FROM users")
    lock.release()
    refused(await making, 404, "user_not_found")
    assert await orm(Conversation.objects.count) == 0


async def test_an_append_that_waits_while_its_ref_goes_to_a_new_conversation_is_appended_there(
    as_alice: Caller, lock: Lock, settings: Settings
) -> None:
    settings.QUOTA_MESSAGES = 100
    await send(as_alice, "PUT", f"{START}/chat")
    lock.take("DELETE FROM conversations WHERE ref = 'chat'")
    lock.take("INSERT INTO conversations (user_id, ref) VALUES ('alice', 'chat')")
    appending = await lock.waits(send(as_alice, "POST", messages_of("chat"), json=MESSAGE))
    lock.release()
    assert (await appending).status_code == 201


async def test_a_conflict_names_the_ref_that_is_taken_also_if_replace_removes_another(as_alice: Caller) -> None:
    url = messages_of(await start(as_alice))
    await send(as_alice, "POST", url, json=[{**MESSAGE, "ref": ref} for ref in "abc"])
    for refs, taken in (("bxx", "x"), ("cba", "a"), ("ca", "a"), ("xyx", "x")):
        answer = await send(as_alice, "POST", f"{url}?replace=b", json=[{**MESSAGE, "ref": ref} for ref in refs])
        refused(answer, 409, "ref_conflict")
        assert answer.json()["data"]["ref"] == taken, refs


async def test_a_call_that_fails_looks_whether_its_key_has_been_used_meanwhile(as_alice: Caller, lock: Lock) -> None:
    conversation = await start(as_alice)
    await send(as_alice, "PUT", f"{messages_of(conversation)}/taken", json=MESSAGE)
    lock.take("SELECT FROM conversations WHERE id = %s FOR UPDATE", conversation)
    turn = {**MESSAGE, "ref": "taken"}
    headers = {"Idempotency-Key": "key-of-a-turn"}
    calling = await lock.waits(send(as_alice, "POST", messages_of(conversation), json=turn, headers=headers))
    lock.take(
        "INSERT INTO idempotency_keys (user_id, operation, key, fingerprint, result, created_at) "
        "VALUES ('alice', 'append_messages', 'key-of-a-turn', 'other', '{}', now())"
    )
    lock.release()
    refused(await calling, 409, "idempotency_conflict")
