"""No callback of a socket or a timer resumes a greenlet: libuv would crash (``Work.resume_soon``)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from todo_mcp.postgres import greenlets
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.greenlets import Work

pytestmark = pytest.mark.anyio


def query() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.01)")


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("wait", [query, lambda: greenlets.sleep(0.01)], ids=["socket", "timer"])
async def test_a_greenlet_is_resumed_from_the_loops_queue(
    wait: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    is_in_callback = False
    callbacks: list[str] = []

    def watch(method: str, position: int) -> None:
        """Let callbacks of this method of the loop say that they run; the callback is the argument at ``position``."""
        original = getattr(loop, method)

        def watched(*arguments: Any, **options: Any) -> Any:
            callback = arguments[position]

            def called(*values: Any) -> None:
                nonlocal is_in_callback
                callbacks.append(method)
                is_in_callback = True
                try:
                    callback(*values)
                finally:
                    is_in_callback = False

            return original(*arguments[:position], called, *arguments[position + 1 :], **options)

        monkeypatch.setattr(loop, method, watched)

    resume = Work.resume

    def checked(work: Work, value: Any = None) -> None:
        assert not is_in_callback
        resume(work, value)

    for method in ("add_reader", "add_writer", "call_later"):
        watch(method, position=1)
    monkeypatch.setattr(Work, "resume", checked)
    gate = DatabaseGate(1, 1.0)
    async with asyncio.timeout(5):
        await gate.on_loop(wait)
    monkeypatch.undo()
    await gate.close()
    assert callbacks
