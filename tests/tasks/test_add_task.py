"""add_task: what it adds, for which user, and what it refuses. Its idempotency_key has a separate file."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks import undo_names
from tasks.models import DESCRIPTION_MAX, TITLE_MAX, Task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.tool_calls import (
    CONTROLS,
    INVISIBLE,
    LEFT_OPEN,
    LONE_SURROGATES,
    everything_of,
    refused,
    send,
    shown,
)
from todo_mcp.auth.tokens import issue_token

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]

ASTRAL = "\U0001f95b"  # one code point, two UTF-16 units, four bytes
# Right-to-left text, symbols, a combining mark, joined emoji, and emoji newer than the Unicode of Python 3.11.
TITLES = [
    ASTRAL,
    "ع",
    "日本",
    "1",
    "…",
    "€",
    "e\u0301",
    "👩\u200d🚀",
    "\u202eabc\u202c",
    "\U0001fae8",
    "\U0001fae9",
    "\uf8ff",
]
BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["title"]),
    ({"description": "only"}, ["title"]),
    *[({"title": title}, ["title"]) for title in (None, 7, True, 1.5, ["Buy milk"], {"title": "Buy milk"})],
    *[({"title": "Buy milk", "description": value}, ["description"]) for value in (7, False, ["x"])],
    *[
        ({"title": "Buy milk", "idempotency_key": key}, ["idempotency_key"])
        for key in (7, "x" * 7, "x" * 65, "a\rb-----")
    ],
    ({"title": "Buy milk", "completed": True}, ["completed"]),
    ({"title": "Buy milk", "Title": "Buy milk"}, ["Title"]),
    ({"title": "Buy milk", "task_id": 1, "due_date": "tomorrow"}, ["due_date", "task_id"]),
    ({"title": 7, "description": 7, "x": 7}, ["description", "title", "x"]),
]


async def test_adding_a_task_returns_its_id_title_and_time(as_alice: Caller, orm: Orm, door: str) -> None:
    envelope = await as_alice.call(door, "add_task", title="Buy milk", description="Two litres,\n\tsemi-skimmed")
    task = await orm(Task.objects.get)
    assert envelope == {
        "status": "success",
        "data": {
            "task_id": task.pk,
            "title": "Buy milk",
            "version": 1,
            "updated_at": shown(task.created_at),
            "created_at": shown(task.created_at),
            "undo": undo_names.encode(task.pk, 1),
        },
        "message": f"Added task {task.pk}: Buy milk.",
    }
    assert (task.user_id, task.title, task.description) == ("alice", "Buy milk", "Two litres,\n\tsemi-skimmed")
    assert (task.completed, task.completed_at, task.deleted_at) == (False, None, None)
    assert task.created_at == task.updated_at
    assert abs((datetime.now(UTC) - task.created_at).days) == 0


async def test_a_task_without_description_has_an_empty_one(as_alice: Caller, orm: Orm, door: str) -> None:
    await as_alice.call(door, "add_task", title="Buy milk")
    assert (await orm(Task.objects.get)).description == ""


async def test_a_title_is_trimmed_and_a_description_is_not(as_alice: Caller, orm: Orm, door: str) -> None:
    envelope = await as_alice.call(door, "add_task", title="\n \u3000Buy\tmilk\u00a0\n", description=" as it is \n")
    assert envelope["data"]["title"] == "Buy\tmilk"
    task = await orm(Task.objects.get)
    assert (task.title, task.description) == ("Buy\tmilk", " as it is \n")


async def test_a_message_is_one_line_whatever_the_title_holds(as_alice: Caller, door: str) -> None:
    envelope = await as_alice.call(door, "add_task", title="Buy\nmilk\t now")
    assert envelope["message"] == f"Added task {envelope['data']['task_id']}: Buy milk now."
    assert envelope["data"]["title"] == "Buy\nmilk\t now"


@pytest.mark.parametrize("char", ["x", "é", ASTRAL], ids=["ascii", "two bytes", "astral"])
async def test_lengths_count_code_points_after_trimming(as_alice: Caller, orm: Orm, door: str, char: str) -> None:
    longest = {"title": f" {char * TITLE_MAX} ", "description": char * DESCRIPTION_MAX}
    assert (await send(as_alice, door, "add_task", longest)).code == 200
    too_long = {"title": char * (TITLE_MAX + 1), "description": char * (DESCRIPTION_MAX + 1)}
    refused(await send(as_alice, door, "add_task", too_long), 400, "invalid_arguments", "description", "title")
    task = await orm(Task.objects.get)
    assert (task.title, task.description) == (char * TITLE_MAX, char * DESCRIPTION_MAX)


async def test_a_title_in_any_script_is_kept(as_alice: Caller, door: str) -> None:
    for title in TITLES:
        assert (await as_alice.call(door, "add_task", title=title))["data"]["title"] == title


async def test_a_control_character_or_lone_surrogate_is_refused_with_the_name_of_its_field(
    as_alice: Caller, orm: Orm, door: str
) -> None:
    for char in (*CONTROLS, *LONE_SURROGATES):
        for field in ("title", "description", "idempotency_key"):
            arguments = {"title": "Buy milk", field: f"Buy{char}milk and bread"}
            answer = await send(as_alice, door, "add_task", arguments)
            refused(answer, 400, "invalid_arguments", field)
            first = next(c for c in char if c in CONTROLS or 0xD800 <= ord(c) < 0xE000)
            assert f"U+{ord(first):04X}" in answer.envelope["data"]["fields"][field]
    assert await orm(lambda: everything_of("alice")) == []


async def test_an_unclosed_bidirectional_control_is_refused_with_the_name_of_its_field(
    as_alice: Caller, orm: Orm, door: str
) -> None:
    for text in LEFT_OPEN:
        for field in ("title", "description"):
            answer = await send(as_alice, door, "add_task", {"title": "Buy milk", field: f"x{text}"})
            refused(answer, 400, "invalid_arguments", field)
    assert await orm(lambda: everything_of("alice")) == []


async def test_an_invisible_title_is_refused(as_alice: Caller, orm: Orm, door: str) -> None:
    for title in (*INVISIBLE, "".join(INVISIBLE)):
        refused(await send(as_alice, door, "add_task", {"title": title}), 400, "invalid_arguments", "title")
    assert await orm(lambda: everything_of("alice")) == []


async def test_bad_arguments_are_named_and_nothing_is_added(as_alice: Caller, orm: Orm, door: str) -> None:
    for arguments, fields in BAD:
        refused(await send(as_alice, door, "add_task", arguments), 400, "invalid_arguments", *fields)
    assert await orm(lambda: everything_of("alice")) == []


async def test_a_task_is_added_only_for_the_caller(as_alice: Caller, as_bob: Caller, orm: Orm, door: str) -> None:
    await as_bob.call(door, "add_task", title="Bob's", user_id="bob")
    refused(await send(as_bob, door, "add_task", {"title": "x", "user_id": "alice"}), 403, "forbidden")
    assert await orm(lambda: everything_of("alice")) == []
    assert (await as_alice.call(door, "list_tasks"))["data"]["total"] == 0
    assert (await as_bob.call(door, "list_tasks"))["data"]["total"] == 1


async def test_a_service_adds_tasks_for_the_user_that_it_names(
    as_alice: Caller, as_service: Caller, orm: Orm, door: str
) -> None:
    envelope = await as_service.call(door, "add_task", title="From the chat", user_id="alice")
    assert (await as_alice.call(door, "list_tasks"))["data"]["tasks"][0]["task_id"] == envelope["data"]["task_id"]
    refused(await send(as_service, door, "add_task", {"title": "x"}), 400, "invalid_arguments", "user_id")
    refused(await send(as_service, door, "add_task", {"title": "x", "user_id": "no-one"}), 404, "user_not_found")
    assert await orm(Task.objects.count) == 1


async def test_a_read_only_token_adds_nothing(as_alice: Caller, orm: Orm, door: str) -> None:
    token = await orm(lambda: issue_token(user_id="alice", scopes=["tasks:read"]))
    answer = await send(Caller(as_alice.http, token), door, "add_task", {"title": "Buy milk"})
    refused(answer, 403, "forbidden")
    assert answer.response.status_code == 403
    assert 'error="insufficient_scope", scope="tasks:write"' in answer.response.headers["www-authenticate"]
    assert await orm(lambda: everything_of("alice")) == []
