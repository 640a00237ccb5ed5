"""Synchronous code on the event loop: it waits without blocking the loop, and does not see the loop."""

import asyncio
import contextvars
import threading
import time

import pytest

from todo_mcp.postgres.greenlets import Work, sleep, without_blocking

pytestmark = pytest.mark.anyio
word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="nothing")


def start(function: object) -> "asyncio.Future[object]":
    work = Work(function, asyncio.get_running_loop())  # type: ignore[arg-type]
    work.resume()
    return work.done


async def test_work_has_the_result_or_the_error_of_its_function() -> None:
    assert await start(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await start(lambda: 1 // 0)


async def test_other_work_continues_while_one_waits() -> None:
    order: list[str] = []

    def work(name: str, seconds: float) -> None:
        order.append(f"{name} begins")
        sleep(seconds)
        order.append(f"{name} ends")

    await asyncio.gather(start(lambda: work("slow", 0.05)), start(lambda: work("quick", 0)))
    assert order == ["slow begins", "quick begins", "quick ends", "slow ends"]


async def test_a_blocking_function_runs_in_a_thread_and_its_error_is_raised() -> None:
    def blocking() -> int:
        return threading.get_ident()

    def failing() -> int:
        raise LookupError("no such key")

    assert await start(lambda: without_blocking(blocking)) != threading.get_ident()
    with pytest.raises(LookupError):
        await start(lambda: without_blocking(failing))
    assert without_blocking(blocking) == threading.get_ident(), "outside of work it is a plain call"


async def test_no_loop_is_running_inside_the_function_and_one_is_outside() -> None:
    def look() -> None:
        for _ in range(2):
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            sleep(0)

    done = start(look)
    assert asyncio.get_running_loop()
    await done
    assert asyncio.get_running_loop()


async def test_work_starts_in_its_callers_context_and_keeps_its_changes_to_itself() -> None:
    def change(to: str) -> tuple[str, str]:
        before = word.get()
        word.set(to)
        sleep(0)
        return before, word.get()

    word.set("outside")
    results = await asyncio.gather(start(lambda: change("a")), start(lambda: change("b")))
    assert list(results) == [("outside", "a"), ("outside", "b")]
    assert word.get() == "outside"


async def test_work_is_finished_even_if_its_caller_is_gone() -> None:
    ended = asyncio.Event()

    def work() -> None:
        sleep(0.02)
        ended.set()

    done = start(work)
    done.cancel()
    async with asyncio.timeout(5):
        assert await ended.wait()


def test_sleep_outside_of_work_is_the_ordinary_sleep() -> None:
    began = time.monotonic()
    sleep(0.01)
    assert time.monotonic() - began >= 0.01
