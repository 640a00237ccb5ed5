"""uvicorn, configured for this application: sockets, limits, and a shutdown that interrupts no call.

At SIGTERM, SIGINT or SIGHUP ``/readyz`` fails. ``DRAIN_SECONDS`` later the port closes. Calls in progress have
``GRACE_SECONDS`` to finish. Then the process exits with 0. A second SIGINT ends it at once.
"""

import asyncio
import contextlib
import errno
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn
from django.conf import settings

from todo_mcp.postgres.embedded.server import release_all
from todo_mcp.process.http_closing import abort_unread
from todo_mcp.process.http_connections import connections
from todo_mcp.process.http_protocol import HttpProtocol
from todo_mcp.transports.http import health

APPLICATION = "todo_mcp.asgi:application"
KEEP_ALIVE_SECONDS = (
    75  # more than a load balancer's usual 60, so that the balancer closes first, never during a request
)
GRACE_SECONDS = 10
WORKER_HANGS_SECONDS = 10  # a worker that answers no ping for this long is replaced
BACKLOG = 2048
LOOK_FOR_UNREAD = 50  # ticks of 0.1 s
DESCRIPTORS = 65_536  # open files to ask the system for; it may allow fewer
RESERVED_DESCRIPTORS = 128  # for listening sockets, refused connections, logs, metrics, fetched documents
CONNECTIONS_MIN = 16
COLLECT_AFTER = (20_000, 20, 20)  # objects, young collections, middle collections: saves a tenth of a call's CPU
REFUSALS = {
    errno.EADDRINUSE: "Port {} is taken by another program. Stop it, or set MCP_SERVER_PORT to a free port.",
    errno.EACCES: "Port {} is reserved for root. Set MCP_SERVER_PORT to one from 1024 up.",
}


AIRPLAY = (
    "Port 5000 is taken, on macOS usually by AirPlay Receiver. Set MCP_SERVER_PORT to another port, like 5001. "
    "Or switch AirPlay Receiver off: System Settings, General, AirDrop & Handoff."
)


class PortUnavailable(Exception):
    """The server cannot listen on the address. The message is one sentence: why, and what to do."""


class Server(uvicorn.Server):
    """Fails readiness first and closes the port later. The exit code is 0."""

    _close_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if health.is_draining() and sig == signal.SIGINT:
            release_all()
            os._exit(128 + sig)  # uvicorn would wait for the database threads
        elif self._close_at is None:
            health.start_draining()
            self._close_at = time.monotonic() + settings.DRAIN_SECONDS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start. Then let the garbage collector run less often, and skip all loaded modules, which would take 0.1 s."""
        await super().startup(sockets)
        connections.limit = max(CONNECTIONS_MIN, _descriptors() - settings.DATABASE_CONNECTIONS - RESERVED_DESCRIPTORS)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)

    async def on_tick(self, counter: int) -> bool:
        if self._close_at is not None and time.monotonic() >= self._close_at:
            self.should_exit = True
        if counter % LOOK_FOR_UNREAD == 0:
            abort_unread(self.server_state.connections)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closing the port resets queued connections, so accept and serve them first.

        The backlog is reduced before that, so that the kernel queues almost none meanwhile.
        """
        waiting: list[socket.socket] = []
        for sock in sockets or []:
            sock.listen(0)
            waiting += _accept_all(sock)
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        loop.call_later(GRACE_SECONDS - 2, connections.abort_waiting)  # a silent client must not delay the end
        await super().shutdown(sockets)

    def _protocol(self) -> HttpProtocol:
        return HttpProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of the host, so that clients reach "localhost" over IPv4 and IPv6.

    An empty host means all addresses of this machine, of both families.

    Raises:
        PortUnavailable: the port is taken or not allowed, or the host is not an address of this machine.
    """
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise PortUnavailable(f"{host} is no address of this machine; use localhost, or 0.0.0.0 for all.") from None
    sockets: list[socket.socket] = []
    reasons: list[str] = []
    for family, _, _, _, address in dict.fromkeys(addresses):
        try:
            sockets.append(_listen(family, address))
        except OSError as error:
            if error.errno in REFUSALS:
                raise PortUnavailable(_refusal(error.errno, port)) from None
            reasons.append(error.strerror or str(error))  # such as a machine without IPv6; another address may work
    if not sockets:
        raise PortUnavailable(f"The server cannot listen on port {port} of {host or 'any address'}: {reasons[0]}.")
    return sockets


def config_for(workers: int) -> uvicorn.Config:
    """uvicorn's configuration."""
    return uvicorn.Config(
        APPLICATION,
        http=HttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # each call is logged by the application
        proxy_headers=bool(settings.FORWARDED_ALLOW_IPS),
        forwarded_allow_ips=settings.FORWARDED_ALLOW_IPS,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_worker_healthcheck=WORKER_HANGS_SECONDS,
        workers=workers,
    )


def _refusal(number: int, port: int) -> str:
    if number == errno.EADDRINUSE and port == 5000 and sys.platform == "darwin":
        return AIRPLAY
    return REFUSALS[number].format(port)


def _descriptors() -> int:
    """The number of files and sockets that this process may open, after it has asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def _listen(family: int, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)  # now a second server fails at once
        sock.setblocking(False)
        sock.set_inheritable(True)
    except OSError:
        sock.close()
        raise
    return sock


def _accept_all(sock: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = sock.accept()
            connection.setblocking(False)
            yield connection
