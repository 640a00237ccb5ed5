"""docs/examples/agents_session.py loses and doubles nothing if calls fail, or if other sessions are faster."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agents import Runner
from agents_session import TodoSession
from conversations_client import Conversations

from tests.examples.faulty_network import FaultyNetwork
from tests.examples.weather import calls_of, said, weather_agent
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio


async def test_a_session_goes_on_while_the_server_restarts_between_two_turns(
    database: Database, user: str, token: str, tmp_path: Path
) -> None:
    server = ServerProcess(database, tmp_path / "server.log")
    conversations = Conversations(server.url, token)
    session, agent = TodoSession("chat-7", user, conversations), weather_agent("It rains.", "Still rain.")
    await Runner.run(agent, "How is Paris?", session=session)
    server.kill()
    _, result = await asyncio.gather(
        asyncio.to_thread(server.restart), Runner.run(agent, "And now?", session=session)
    )  # the run begins while nobody listens
    assert result.final_output == "Still rain."
    assert len(await session.get_items()) == 6
    assert len(calls_of(agent)[-1]) == 5
    await conversations.http.aclose()
    server.close()


@pytest.mark.parametrize("faults", [[429, 429], [503, 503], ["lost", 503, "lost"]], ids=["429", "503", "lost"])
async def test_a_turn_that_is_refused_or_whose_answer_is_lost_is_stored_once(
    unsteady: Conversations, network: FaultyNetwork, user: str, faults: list[Any]
) -> None:
    session = TodoSession("chat-8", user, unsteady)
    await session.add_items(said("first"))
    network.keys.clear()
    network.faults = [*faults]
    await session.add_items(said("second"))
    assert not network.faults
    assert len(network.keys) == len(faults) + 1 and len(set(network.keys)) == 1
    assert await session.get_items() == said("first", "second")


async def test_a_lost_answer_does_not_make_pop_item_remove_two(
    unsteady: Conversations, network: FaultyNetwork, user: str
) -> None:
    session = TodoSession("chat-9", user, unsteady)
    await session.add_items(said("first", "second"))
    network.only, network.faults = "DELETE", ["lost"]
    assert [await session.pop_item()] == said("second")
    assert await session.get_items() == said("first")


async def test_pop_item_takes_the_one_before_if_another_session_was_faster(
    unsteady: Conversations, network: FaultyNetwork, server: ServerProcess, user: str, token: str
) -> None:
    session = TodoSession("chat-10", user, unsteady)
    await session.add_items(said("first", "second"))

    async def pop_elsewhere() -> list[Any]:
        other = Conversations(server.url, token)
        item = await TodoSession("chat-10", user, other).pop_item()
        await other.http.aclose()
        return [item]

    network.only, network.faults = "DELETE", [lambda: elsewhere.extend(asyncio.run(pop_elsewhere()))]
    elsewhere: list[Any] = []
    assert [await session.pop_item()] == said("first")
    assert elsewhere == said("second")
    assert await session.get_items() == []


async def test_many_pops_at_once_give_each_item_once(conversations: Conversations, user: str) -> None:
    sessions = [TodoSession("chat-11", user, conversations) for _ in range(4)]
    items = said(*map(str, range(20)))
    await sessions[0].add_items(items)
    popped = await asyncio.gather(*(sessions[n % 4].pop_item() for n in range(24)))
    assert sorted(popped, key=str) == sorted([*items, *[None] * 4], key=str)
