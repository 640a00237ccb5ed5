"""Synchronous code on the event loop: it waits without holding the loop, and knows nothing of it."""

import asyncio
import contextvars
import threading
import time

import pytest

from todo_mcp.postgres.greenlets import Work, sleep, without_blocking

pytestmark = pytest.mark.anyio
said: contextvars.ContextVar[str] = contextvars.ContextVar("said", default="nothing")


def begun(function: object) -> "asyncio.Future[object]":
    work = Work(function, asyncio.get_running_loop())  # type: ignore[arg-type]
    work.resume()
    return work.done


async def test_the_result_or_the_error_of_the_function_is_told() -> None:
    assert await begun(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await begun(lambda: 1 // 0)


async def test_while_one_waits_others_go_on() -> None:
    order: list[str] = []

    def work(name: str, seconds: float) -> None:
        order.append(f"{name} begins")
        sleep(seconds)
        order.append(f"{name} ends")

    await asyncio.gather(begun(lambda: work("slow", 0.05)), begun(lambda: work("quick", 0)))
    assert order == ["slow begins", "quick begins", "quick ends", "slow ends"]


async def test_what_blocks_is_called_in_a_thread_and_its_error_comes_back() -> None:
    def blocking() -> int:
        return threading.get_ident()

    def failing() -> int:
        raise LookupError("no such key")

    assert await begun(lambda: without_blocking(blocking)) != threading.get_ident()
    with pytest.raises(LookupError):
        await begun(lambda: without_blocking(failing))
    assert without_blocking(blocking) == threading.get_ident(), "where nothing else would wait, it is simply called"


async def test_within_the_function_no_loop_is_running_and_outside_one_is() -> None:
    def look() -> None:
        for _ in range(2):
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            sleep(0)

    done = begun(look)
    assert asyncio.get_running_loop()
    await done
    assert asyncio.get_running_loop()


async def test_each_has_the_context_that_it_was_begun_in_and_keeps_its_changes_to_itself() -> None:
    def change(to: str) -> tuple[str, str]:
        before = said.get()
        said.set(to)
        sleep(0)
        return before, said.get()

    said.set("outside")
    changed = await asyncio.gather(begun(lambda: change("a")), begun(lambda: change("b")))
    assert list(changed) == [("outside", "a"), ("outside", "b")]
    assert said.get() == "outside"


async def test_work_whose_caller_goes_away_is_done_to_its_end() -> None:
    ended = asyncio.Event()

    def work() -> None:
        sleep(0.02)
        ended.set()

    done = begun(work)
    done.cancel()
    async with asyncio.timeout(5):
        assert await ended.wait()


def test_sleep_in_a_thread_of_its_own_is_the_ordinary_one() -> None:
    began = time.monotonic()
    sleep(0.01)
    assert time.monotonic() - began >= 0.01
