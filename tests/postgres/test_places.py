"""Who gets the places of the gate: each owner a share, those that wait in turn, and no place is ever lost."""

import asyncio
import random
from collections import Counter

import pytest

from tests.support.processes import PATIENCE
from todo_mcp.core.errors import Busy
from todo_mcp.postgres.places import Owner, Places

pytestmark = pytest.mark.anyio


def take_all(places: Places, owner: Owner) -> int:
    """Take places until the owner gets no more. Returns how many they are."""
    count = 0
    while places.take(owner):
        count += 1
    return count


def is_unused(places: Places) -> bool:
    return (places._free, places._held, places._waiting) == (places.size, {}, {})


@pytest.mark.parametrize(("size", "share"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (16, 8)])
def test_an_owner_gets_half_of_the_places_and_two_owners_get_all(size: int, share: int) -> None:
    places = Places(size)
    assert (take_all(places, "alice"), take_all(places, "bob"), take_all(places, "charlie")) == (share, size - share, 0)


def test_the_server_itself_may_have_all_places() -> None:
    assert take_all(Places(16), None) == 16


@pytest.mark.parametrize("size", [1, 2, 4])
async def test_an_owner_that_comes_last_waits_for_one_place_only(size: int) -> None:
    """64 works of alice and of charlie wait already."""
    places, order = Places(size), list[Owner]()
    held = [owner for owner in ("alice", "charlie") for _ in range(take_all(places, owner))]

    async def work(owner: Owner) -> None:
        await places.wait(owner, PATIENCE)
        order.append(owner)

    tasks = [asyncio.create_task(work(owner)) for owner in ["alice", "charlie"] * 32 + ["bob"]]
    await asyncio.sleep(0)
    assert order == []
    places.give_back(held.pop())
    await asyncio.sleep(0)
    while "bob" not in order:
        places.give_back(order[-1])
        await asyncio.sleep(0)
    assert len(order) <= 3, "the other owners have one turn each before"
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_work_waits_behind_other_work_of_its_owner_even_if_a_place_is_free() -> None:
    places = Places(4)
    assert take_all(places, "alice") == 2
    with pytest.raises(Busy):
        await places.wait("alice", 0.01)
    assert places.take("bob")


async def test_a_place_that_comes_too_late_or_for_nobody_is_not_lost() -> None:
    places, held = Places(3), Counter[Owner]()
    chance = random.Random(1)

    async def work(owner: Owner) -> None:
        await places.wait(owner, chance.choice([0.001, 0.01, 1, None]))
        held[owner] += 1
        assert held.total() <= 3 and (owner is None or held[owner] <= 2)
        try:
            await asyncio.sleep(chance.choice([0, 0.001]))
        finally:
            held[owner] -= 1
            places.give_back(owner)

    tasks = [asyncio.create_task(work(chance.choice(["alice", "bob", "charlie", None]))) for _ in range(600)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = Counter(type(result) for result in results)
    assert set(kinds) == {type(None), Busy, asyncio.CancelledError}, kinds
    assert is_unused(places)


async def test_a_waiting_task_that_is_cancelled_in_its_turn_gives_the_place_to_the_next() -> None:
    places = Places(1)
    assert places.take("alice")
    first, second = (asyncio.create_task(places.wait(owner)) for owner in ("bob", "charlie"))
    await asyncio.sleep(0)
    places.give_back("alice")
    first.cancel()
    async with asyncio.timeout(PATIENCE):
        await second
    assert first.cancelled()
    places.give_back("charlie")
    assert is_unused(places)


async def test_closed_places_refuse_work_that_waits_and_work_that_comes() -> None:
    places = Places(2)
    assert places.take("alice")
    assert places.take("bob")
    waiting = [asyncio.create_task(places.wait("alice")) for _ in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(places.close())
    while not closing.done():
        await asyncio.sleep(0)
        for owner in tuple(places._held):
            if owner is not None and not all(task.done() for task in waiting):
                places.give_back(owner)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert not places.size
    assert {type(outcome) for outcome in outcomes} <= {type(None), Busy}
    with pytest.raises(Busy):
        await places.wait("charlie", PATIENCE)
    assert not places.take(None)
