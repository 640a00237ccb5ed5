"""Who did what: each change of a task is recorded with the user, the token, the client, the tool and the request."""

import json
from typing import Any

import pytest
from oauth2_provider.models import AccessToken

from tasks.models import TaskEvent
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.mcp_messages import MODERN, request
from tests.support.tool_calls import send

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]

REQUEST_ID = "my-request.id_0001"
ADD: dict[str, Any] = {"name": "add_task", "arguments": {"title": "Buy milk"}}


def events() -> list[TaskEvent]:
    return list(TaskEvent.objects.order_by("pgh_id"))


async def context_of(caller: Caller, orm: Orm, door: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """The context in the history of the one change that this call makes."""
    before = await orm(TaskEvent.objects.count)
    headers = {"X-Request-ID": REQUEST_ID, "User-Agent": "curl/8.0"}
    answer = await send(caller, door, tool, arguments, headers)
    assert answer.code == 200
    assert answer.response.headers["x-request-id"] == REQUEST_ID
    (event,) = (await orm(events))[before:]
    context: dict[str, Any] = event.pgh_context
    return context


async def test_every_change_is_recorded_with_user_token_client_tool_and_request(
    as_alice: Caller, orm: Orm, door: str
) -> None:
    token_id = await orm(lambda: AccessToken.objects.get().pk)
    expected = {
        "user": "alice",
        "token": token_id,
        "token_name": "personal",
        "service": False,
        "client": "pytest 1" if door == MODERN else "curl/8.0",
        "transport": "http" if door == "http" else "mcp",
        "request_id": REQUEST_ID,
    }
    context = await context_of(as_alice, orm, door, "add_task", title="Buy milk")
    assert context == {**expected, "tool": "add_task"}
    task_id = (await orm(events))[0].pgh_obj_id
    for tool, more in (("update_task", {"title": "Buy oats"}), ("complete_task", {}), ("delete_task", {})):
        assert await context_of(as_alice, orm, door, tool, task_id=task_id, **more) == {**expected, "tool": tool}


async def test_every_version_of_a_task_is_kept(as_alice: Caller, orm: Orm, door: str) -> None:
    task_id = (await as_alice.call(door, "add_task", title="Buy milk"))["data"]["task_id"]
    await as_alice.call(door, "update_task", task_id=task_id, title="Buy oats", description="One pack")
    await as_alice.call(door, "complete_task", task_id=task_id)
    await as_alice.call(door, "delete_task", task_id=task_id)
    versions = await orm(events)
    assert [
        (version.pgh_label, version.title, version.description, version.completed, version.deleted_at is not None)
        for version in versions
    ] == [
        ("insert", "Buy milk", "", False, False),
        ("update", "Buy oats", "One pack", False, False),
        ("update", "Buy oats", "One pack", True, False),
        ("update", "Buy oats", "One pack", True, True),
    ]
    assert {(version.pgh_obj_id, version.user_id) for version in versions} == {(task_id, "alice")}


async def test_a_change_by_a_service_is_recorded_with_the_user_and_the_service(
    as_alice: Caller, as_service: Caller, orm: Orm, door: str
) -> None:
    context = await context_of(as_service, orm, door, "add_task", title="From the chat", user_id="alice")
    assert (context["user"], context["token_name"], context["service"]) == ("alice", "chat", True)


async def test_a_call_that_changes_nothing_is_not_recorded(
    as_alice: Caller, as_bob: Caller, orm: Orm, door: str
) -> None:
    arguments = {"title": "Buy milk", "idempotency_key": "a-key-of-my-own"}
    task_id = (await as_alice.call(door, "add_task", **arguments))["data"]["task_id"]
    await as_alice.call(door, "complete_task", task_id=task_id)
    before = await orm(events)
    await as_alice.call(door, "add_task", **arguments)
    await as_alice.call(door, "complete_task", task_id=task_id)
    await as_alice.call(door, "list_tasks")
    for tool in ("complete_task", "delete_task"):
        assert (await send(as_bob, door, tool, {"task_id": task_id})).code == 404
    assert (await send(as_alice, door, "update_task", {"task_id": task_id, "title": ""})).code == 200
    assert (await send(as_alice, door, "update_task", {"task_id": task_id})).code == 400
    assert await orm(events) == before


async def test_an_invalid_request_id_is_replaced(as_alice: Caller, orm: Orm, door: str) -> None:
    request_ids = set()
    for invalid in ("short", "x" * 65, "with space", "semi;colon", '"quoted"', "a/b/c/d/e", ""):
        answer = await send(as_alice, door, "add_task", {"title": "Buy milk"}, {"X-Request-ID": invalid})
        request_id = answer.response.headers["x-request-id"]
        assert request_id != invalid
        assert (await orm(events))[-1].pgh_context["request_id"] == request_id
        request_ids.add(request_id)
    assert len(request_ids) == 7


async def test_a_clients_name_is_recorded_printable_and_short(as_alice: Caller, orm: Orm, door: str) -> None:
    name = "curl\t\u202e\n" + "x" * 300
    if door == MODERN:  # the revision that names the client in the body
        body = json.dumps(request(door, "tools/call", ADD, client=name))
        await as_alice.http.post("/mcp", content=body, headers=as_alice.rpc_headers(door, "tools/call", "add_task"))
    else:
        user_agent = name.replace("\u202e\n", "")  # a header holds no such characters
        await send(as_alice, door, "add_task", ADD["arguments"], {"User-Agent": user_agent})
    assert (await orm(events))[-1].pgh_context["client"] == ("curl" + "x" * 300)[:100]
