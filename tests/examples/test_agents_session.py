"""docs/examples/agents_session.py keeps sessions of the Agents SDK. A scripted model takes the place of a real one."""

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from agents import Agent, Runner, Session, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from agents_session import TodoSession
from conversations_client import Conversations

from tests.examples.weather import calls_of, contents, said, weather_agent
from tests.support.processes import PATIENCE
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio

READ = """
import asyncio, json, sys
from agents_session import TodoSession
from conversations_client import Conversations
print(json.dumps(asyncio.run(TodoSession(*sys.argv[1:], Conversations()).get_items())))
"""
TWO_CALLS: Any = [
    {"role": "user", "content": "What is the weather in Paris and Rome? 🌦"},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Two cities."}]},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": '{"city": "Paris"}'},
    {"type": "function_call", "id": "fc_2", "call_id": "c2", "name": "weather", "arguments": '{"city": "Rome"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "Rain, 9.50 °C"},
    {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "Sun"}]},
    {"role": "assistant", "type": "message", "id": "msg_1", "status": "completed",
     "content": [{"type": "output_text", "text": "Rain and sun.", "annotations": [], "logprobs": []}]},
]  # fmt: skip


async def test_an_agent_calls_a_tool_and_its_next_run_knows_the_first(conversations: Conversations, user: str) -> None:
    session: Session = TodoSession("chat-1", user, conversations)
    agent = weather_agent("It rains.", "As I said, rain.")
    assert (await Runner.run(agent, "How is Paris?", session=session)).final_output == "It rains."
    assert (await Runner.run(agent, "Pardon?", session=session)).final_output == "As I said, rain."

    items = await session.get_items()
    kinds = [item.get("type", "message") for item in items]
    assert kinds == ["message", "function_call", "function_call_output", "message", "message", "message"]
    assert calls_of(agent)[-1] == items[:-1]
    assert await contents(conversations, user, "chat-1") == [
        ("user", "How is Paris?"),
        ("assistant", 'weather\n{"city":"Paris"}'),
        ("assistant", "Rain in Paris"),
        ("assistant", "It rains."),
        ("user", "Pardon?"),
        ("assistant", "As I said, rain."),
    ]


async def test_a_turn_with_two_tool_calls_is_read_in_a_new_process_exported_and_popped(
    conversations: Conversations, server: ServerProcess, database: Database, user: str, token: str
) -> None:
    session = TodoSession("chat-2", user, conversations)
    await session.add_items(TWO_CALLS)

    environment = database.environment(TODO_URL=server.url, TODO_TOKEN=token)
    command = [sys.executable, "-c", READ, "chat-2", user]
    result = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == TWO_CALLS

    exported = json.loads(await asyncio.to_thread(database.manage, "export_user", user))
    (conversation,) = exported["conversations"]
    assert conversation["ref"] == "chat-2"
    assert [message["item"] for message in conversation["messages"]] == TWO_CALLS

    popped = [await session.pop_item() for _ in TWO_CALLS]
    assert popped == TWO_CALLS[::-1]
    assert (await session.pop_item(), await session.get_items()) == (None, [])


async def test_get_items_reads_the_last_ones_or_all_pages(conversations: Conversations, user: str) -> None:
    session = TodoSession("chat-3", user, conversations)
    items = said(*map(str, range(250)))
    await session.add_items(items)  # three requests
    for limit in (1, 99, 100, 101, 200, 249, 250, 251, 1000):
        assert await session.get_items(limit) == items[-limit:], limit
    assert await session.get_items() == items
    assert await session.get_items(0) == []


async def test_items_that_do_not_fit_into_one_request_are_all_kept(conversations: Conversations, user: str) -> None:
    session = TodoSession("chat-4", user, conversations)
    results: Any = [{"type": "function_call_output", "call_id": str(n), "output": "é" * 120_000} for n in range(40)]
    await session.add_items(results)
    assert await session.get_items() == results
    stored = await conversations.call("GET", user, "chat-4", "messages", last=1)
    assert stored["messages"][0]["content"] == "é" * 100_000


async def test_two_sessions_on_one_id_make_one_conversation_and_keep_turns_whole(
    conversations: Conversations, user: str
) -> None:
    sessions = [TodoSession("chat-5", user, conversations) for _ in range(2)]
    turns = [said(*(f"{name} {n} {part}" for part in range(3))) for n in range(10) for name in "ab"]
    await asyncio.gather(*(sessions[n % 2].add_items(turn) for n, turn in enumerate(turns)))

    items = await sessions[0].get_items()
    assert items == await sessions[1].get_items()
    assert sorted((items[n : n + 3] for n in range(0, len(items), 3)), key=str) == sorted(turns, key=str)
    assert len((await conversations.call("GET", user))["conversations"]) == 1


async def test_two_users_with_one_id_have_two_sessions(
    conversations: Conversations, database: Database, user: str
) -> None:
    mine, other = (TodoSession("chat-6", owner, conversations) for owner in (user, database.new_user()[0]))
    await mine.add_items(said("secret"))
    assert await other.get_items() == []
    await other.clear_session()
    assert await other.pop_item() is None
    assert await mine.get_items() == said("secret")


async def test_a_strange_tool_result_does_not_lose_the_turn(conversations: Conversations, user: str) -> None:
    @function_tool
    def read_file() -> str:
        """A file that is not text."""
        return "a\0b\ud800c 😀\udfff"

    answer = [assistant_message("It is strange.")]
    model = ScriptedModel([[function_call("read_file", {}, call_id="call-1")], answer])
    agent = Agent(name="Assistant", model=model, tools=[read_file])
    session = TodoSession("chat-12", user, conversations)
    await Runner.run(agent, "Read it.", session=session)

    items: Any = await session.get_items()
    assert [item["output"] for item in items if item.get("type") == "function_call_output"] == [
        "a\ufffdb\ufffdc 😀\ufffd"
    ]
    assert ("assistant", "a\ufffdb\ufffdc 😀\ufffd") in await contents(conversations, user, "chat-12")


async def test_clearing_twice_is_fine_and_the_session_can_go_on(conversations: Conversations, user: str) -> None:
    session = TodoSession("chat-13", user, conversations)
    await session.clear_session()
    await session.add_items(said("first"))
    await session.clear_session()
    await session.clear_session()
    assert (await session.get_items(), await session.get_items(5)) == ([], [])
    await session.add_items(said("second"))
    assert await session.get_items() == said("second")


async def test_adding_items_keeps_the_title_that_another_program_gave(conversations: Conversations, user: str) -> None:
    session = TodoSession("chat-14", user, conversations)
    await session.add_items(said("first"))
    await conversations.call("PATCH", user, "chat-14", json={"title": "Weather"})
    await session.add_items(said("second"))
    assert (await conversations.call("GET", user, "chat-14"))["title"] == "Weather"


async def test_a_session_reads_the_messages_of_a_program_without_an_sdk(
    conversations: Conversations, user: str
) -> None:
    await conversations.call("POST", user, json={"ref": "chat-15"}, key="start-chat-15")
    await conversations.call("POST", user, "chat-15", "messages", json=said("Hello"), key="hello-chat-15")
    assert await TodoSession("chat-15", user, conversations).get_items() == said("Hello")


@pytest.mark.parametrize("session_id", ["", "../../x?y=1", "a b/ü", "x" * 65, "7"], ids=ascii)
async def test_any_text_can_be_the_id_of_a_session(conversations: Conversations, user: str, session_id: str) -> None:
    await conversations.call("POST", user, json={"title": "Not a session"}, key="not-a-session")
    session, same = (TodoSession(session_id, user, conversations) for _ in range(2))
    other = TodoSession(f"{session_id}!", user, conversations)
    await session.add_items(said("first"))
    assert (await same.get_items(), await other.get_items()) == (said("first"), [])


async def test_digits_never_name_the_conversation_with_that_number(conversations: Conversations, user: str) -> None:
    made = await conversations.call("POST", user, key="digits-never-name")
    session = TodoSession(str(made["id"]), user, conversations)
    await session.clear_session()
    await session.add_items(said("first"))
    assert (await conversations.call("GET", user, str(made["id"]), "messages"))["messages"] == []


async def test_another_refusal_is_an_error_with_the_servers_reason(conversations: Conversations, user: str) -> None:
    session = TodoSession("chat-16", user, conversations)
    with pytest.raises(Exception, match=r"262,?144|256 KiB"):
        await session.add_items(said("x" * 300_000))
    with pytest.raises(Exception, match="user_not_found"):
        await TodoSession("chat-16", "nobody-of-that-name", conversations).add_items(said("first"))
    assert await session.get_items() == []
