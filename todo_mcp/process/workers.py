"""One or several worker processes that share the sockets. A worker that dies is replaced, logged and counted."""

import logging
import os
import signal
import socket
import tempfile
import threading
import time
from multiprocessing import parent_process
from typing import Any

import uvicorn
from django.conf import settings
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from todo_mcp.process.server import Server, config_for
from todo_mcp.telemetry.metrics import WORKERS_DIED

logger = logging.getLogger(__name__)
SIGNALS = {number.value: number.name for number in signal.Signals}


class Worker(multiprocess.Process):
    """One of several processes that share the sockets."""

    hangs = False  # it did not answer a ping in time

    def start(self) -> None:
        super().start()
        self.child_conn.close()  # so that a ping to a killed worker fails at once, not after 10 s

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        super().target(sockets)

    def ping(self, timeout: float = 5) -> bool:
        began = time.monotonic()
        answers = super().ping(timeout)
        self.hangs = not answers and time.monotonic() - began >= timeout
        return answers

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(self.config)
        return self._server


class Supervisor(multiprocess.Multiprocess):
    """Keeps the workers alive, and lets them finish at the end."""

    def keep_subprocess_alive(self) -> None:
        before = tuple(self.processes)
        super().keep_subprocess_alive()
        for process in before:
            if process not in self.processes:
                mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
                if not {signal.SIGINT, signal.SIGTERM} & set(self.signal_queue):  # the end, for all processes
                    _report(process)

    def terminate_all(self) -> None:
        super().terminate_all()
        for sock in self.sockets:
            sock.close()  # this process would accept connections and never serve them

    def join_all(self) -> None:
        while any(process.process.is_alive() for process in self.processes):
            if signal.SIGINT in self.signal_queue:  # a second one: the first has left the queue
                for process in self.processes:
                    process.kill()
            time.sleep(0.05)
        super().join_all()


def run(sockets: list[socket.socket], *, workers: int) -> int:
    """Serve until a signal. Returns the exit code: 0, or ``STARTUP_FAILURE`` if the application could not start."""
    config = config_for(workers)
    if workers == 1:
        Server(config).run(sockets)
        return 0
    # The settings may have generated these values. All workers need the same.
    os.environ |= {"SECRET_KEY": settings.SECRET_KEY, "DATABASE_CONNECTIONS": str(settings.DATABASE_CONNECTIONS)}
    multiprocess.Process = Worker  # type: ignore[misc]  # uvicorn has no setting for the class of its workers
    with tempfile.TemporaryDirectory(prefix="todo-mcp-metrics-") as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
        supervisor = Supervisor(config, sockets)
        supervisor.run()
    return STARTUP_FAILURE if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes) else 0


def _report(process: multiprocess.Process) -> None:
    """Log and count a worker that was replaced. Requests in it are lost."""
    WORKERS_DIED.count_one()
    code = process.exitcode or 0
    end: dict[str, Any] = {"signal": SIGNALS.get(-code, str(-code))} if code < 0 else {"exit_code": code}
    hangs = isinstance(process, Worker) and process.hangs
    what = "hung, was killed and replaced" if hangs else "died and was replaced"
    logger.error("a worker %s", what, extra={"worker": process.pid, **end})


def _end_with_parent() -> None:
    """In a worker: end as at SIGTERM when the parent has ended, even by SIGKILL."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    while True:  # a signal during start-up is lost; the Server ignores repeated ones
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
