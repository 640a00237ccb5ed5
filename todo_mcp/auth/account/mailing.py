"""Sends the mails that wait for forgotten passwords, in each worker, one at a time.

The database is used through the same gate as by the calls. Sending has no place there: a mail server that hangs delays
nothing but the other mails of this worker.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from todo_mcp.auth.account.reset_mail import Letter, Look, listening, next_letter, send, warn_given_up
from todo_mcp.postgres.background import repeated_later
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.telemetry.logs import describe_error

logger = logging.getLogger(__name__)

EVERY = 10.0  # seconds between two looks for what other workers left
AT_END = 1.0  # seconds that a worker waits at most for a mail under way


@asynccontextmanager
async def mailing(gate: DatabaseGate) -> AsyncIterator[None]:
    """Within this context, send what is due: at once what this worker stored, within ``EVERY`` seconds all else."""
    mailer = _Mailer(gate)
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(mailer.run())
    try:
        with listening(partial(loop.call_soon_threadsafe, mailer.wake.set)):
            yield
    finally:
        mailer.ending = True
        mailer.wake.set()
        await asyncio.wait({task}, timeout=AT_END)
        task.cancel()
        await asyncio.wait({task})


class _Mailer:
    """``ending`` lets a mail under way be finished, and no other be begun."""

    def __init__(self, gate: DatabaseGate) -> None:
        self.wake = asyncio.Event()
        self.ending = False
        self._gate = gate
        self._settled: list[int] = []  # rows that are done with, and are still to be removed

    async def run(self) -> None:
        while not self.ending:
            self.wake.clear()
            await self._try()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self.wake.wait()

    async def _try(self) -> None:
        """Send what is due, if there is a place at the gate; what cannot be sent now waits."""
        with repeated_later("mails"):
            await self._send_due()

    async def _send_due(self) -> None:
        look = Look(is_more=True)
        while look.is_more:
            look = await self._gate.in_thread(self._next)  # each time anew: others want the place too
            self._settled.clear()
            if look.letter is None:
                continue
            if await _is_sent(look.letter):
                self._settled.append(look.letter.pk)
            elif look.letter.is_last_attempt:
                warn_given_up(look.letter.attempt)
                self._settled.append(look.letter.pk)

    def _next(self) -> Look:
        return next_letter(self._settled, claim=not self.ending)


async def _is_sent(letter: Letter) -> bool:
    try:
        await _in_daemon(partial(send, letter.mails))
    except Exception as error:  # whatever a backend raises; it may quote the address
        logger.warning("mail not sent", extra={"attempt": letter.attempt, **describe_error(error)})
        return False
    return True


def _in_daemon(function: Callable[[], object]) -> "asyncio.Future[None]":
    """Call the function in a thread for which the end of the process does not wait, as it does for an executor's."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if done.done():  # nobody waits any more
            return
        if error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def call() -> None:
        try:
            function()
        except Exception as error:
            told: Exception | None = error
        else:
            told = None
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, told)

    threading.Thread(target=call, name="mail", daemon=True).start()
    return done
