"""What stands between a command line and a server that runs: the port, the database, the share of its connections.

Each step fails with a ``CommandError`` of one sentence.
"""

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from todo_mcp.process import server
from todo_mcp.process.commands import escaped

logger = logging.getLogger(__name__)

SPARE_CONNECTIONS = 5  # for commands, migrations and an operator's psql beside the server
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end_on_signals() -> None:
    """Until the server handles signals itself: leave in order, so that the embedded PostgreSQL stops too."""
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # the terminal was closed; nohup ignores that
        signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))


def listen(host: str) -> list[socket.socket]:
    """Sockets on ``MCP_SERVER_PORT``; clients that come before the server is ready wait."""
    try:
        return server.bind(host, settings.MCP_SERVER_PORT)
    except server.PortUnavailable as reason:
        raise CommandError(str(reason)) from None


@contextmanager
def database_errors() -> Iterator[None]:
    """Tells an unreachable or unusable database in one sentence."""
    try:
        yield
    except DatabaseError as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise CommandError(
            f"The database cannot be used; check DATABASE_URL. It says: {escaped(said[-1].strip())}"
        ) from None


def unapplied_migrations() -> list[str]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def require_migrations() -> None:
    """Refuse to serve from tables that this version does not know."""
    with database_errors():
        names = unapplied_migrations()
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise CommandError(f"Not applied: {', '.join(names[:3])}{more}. Run `manage.py migrate`, then start again.")


def share_connections(workers: int) -> None:
    """Lower ``DATABASE_CONNECTIONS``, which counts for each worker, to what the database has for all of them.

    A pooler in transaction mode shares them itself; how many clients it takes is its own setting.
    """
    if settings.TRANSACTION_POOLING:
        return
    with database_errors(), connection.cursor() as cursor:
        cursor.execute("SHOW max_connections")
        (maximum,) = cursor.fetchone()
        cursor.execute("SHOW superuser_reserved_connections")
        (reserved,) = cursor.fetchone()
    share = max(1, (int(maximum) - int(reserved) - SPARE_CONNECTIONS) // workers)
    if share < settings.DATABASE_CONNECTIONS:
        logger.warning(
            "DATABASE_CONNECTIONS is lowered from %d to %d for each worker: the database allows %s connections in all",
            settings.DATABASE_CONNECTIONS,
            share,
            maximum,
        )
        settings.DATABASE_CONNECTIONS = share


def serve(sockets: list[socket.socket], *, workers: int) -> NoReturn:
    """Serve until a signal ends it, then end the process."""
    connections.close_all()
    code = server.run(sockets, workers=workers)
    for number in SIGNALS:  # another one must not interrupt the embedded PostgreSQL's stop
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def restart_on(port: int) -> NoReturn:
    """Begin this process again with another ``MCP_SERVER_PORT``: other settings follow from it, in workers too."""
    os.environ["MCP_SERVER_PORT"] = str(port)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (the same program, the same arguments)
