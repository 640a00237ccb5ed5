"""Sends the waiting mails for forgotten passwords. Each worker runs one mailer, which sends one mail at a time.

Database work goes through the same gate as calls. Sending does not hold a place at the gate: a mail server that hangs
delays only the other mails of this worker.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from todo_mcp.auth.account.reset_mail import (
    ClaimedRequest,
    ClaimResult,
    claim_next_request,
    listening,
    send,
    warn_given_up,
)
from todo_mcp.postgres.background import attempt
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.telemetry.logs import describe_error

logger = logging.getLogger(__name__)

EVERY = 10.0  # seconds between two checks for requests that other workers stored
AT_END = 1.0  # seconds; how long a worker that stops waits for the mail that it is sending


@asynccontextmanager
async def mailing(gate: DatabaseGate) -> AsyncIterator[None]:
    """Send due mails within this context: at once for requests of this process, else within ``EVERY`` seconds."""
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
    """Sends until ``ending`` is set. Then it finishes the current mail and starts no other."""

    def __init__(self, gate: DatabaseGate) -> None:
        self.wake = asyncio.Event()
        self.ending = False
        self._gate = gate
        self._finished: list[int] = []  # ids of finished requests whose rows are still to be deleted

    async def run(self) -> None:
        while not self.ending:
            self.wake.clear()
            await self._send_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self.wake.wait()

    async def _send_due(self) -> None:
        """Send due mails if the gate has a free place; otherwise they wait for the next round."""
        # One step each time, so that calls get the place between.
        while (result := await attempt(self._gate, "mails", self._next)) is not None:
            self._finished.clear()
            request = result.request
            if request is not None and await _is_sent(request):
                self._finished.append(request.pk)
            elif request is not None and request.is_last_attempt:
                warn_given_up(request.attempt)
                self._finished.append(request.pk)
            if not result.has_more:
                return

    def _next(self) -> ClaimResult:
        return claim_next_request(self._finished, claim=not self.ending)


async def _is_sent(request: ClaimedRequest) -> bool:
    try:
        await _in_daemon(partial(send, request.mails))
    except Exception as error:  # backends may raise anything; the log gets no message text: it may quote the address
        logger.warning("mail not sent", extra={"attempt": request.attempt, **describe_error(error)})
        return False
    return True


def _in_daemon(function: Callable[[], object]) -> "asyncio.Future[None]":
    """Call the function in a daemon thread. Unlike an executor's thread, it does not delay the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if done.done():  # the waiting task was cancelled
            return
        if error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def call() -> None:
        failure: Exception | None = None
        try:
            function()
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=call, name="mail", daemon=True).start()
    return done
