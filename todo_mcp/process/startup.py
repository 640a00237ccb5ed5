"""The steps from a command line to a running server: port, database, migrations, connection limit.

Each step that fails raises a ``CommandError`` with a plain message.
"""

import logging
import os
import signal
import socket
import sys
from typing import NoReturn

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from todo_mcp.configuration.distribution import command
from todo_mcp.postgres import wall
from todo_mcp.process import server
from todo_mcp.process.commands import database_errors
from todo_mcp.process.workers import run

logger = logging.getLogger(__name__)

SPARE_CONNECTIONS = 5  # kept free for commands, migrations and an operator's psql
DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")  # of PostgreSQL
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end_on_signals() -> None:
    """Exit cleanly on signals until the server handles them, so that the embedded PostgreSQL stops too."""
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # a closed terminal; nohup sets SIG_IGN instead
        signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))


def listen(host: str) -> list[socket.socket]:
    """Listen on ``MCP_SERVER_PORT``, on all addresses if the host is empty.

    Clients that connect before the server is ready wait.
    """
    try:
        return server.bind(host, settings.MCP_SERVER_PORT)
    except server.PortUnavailable as error:
        raise CommandError(str(error)) from None


def unapplied_migrations() -> list[str]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def require_migrations() -> None:
    """Refuse to serve while the tables are older than this version's code."""
    with database_errors():
        names = unapplied_migrations()
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise CommandError(
            f"Unapplied migrations: {', '.join(names[:3])}{more}. Run `{command('migrate')}`, then start again."
        )


def share_connections(workers: int) -> None:
    """Lower ``DATABASE_CONNECTIONS``, a limit per worker, so that all workers fit the database's limit.

    With a pooler in transaction mode nothing is lowered: the pooler shares connections and has its own client limit.
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


def check_wall() -> None:
    """Warn if the database does not keep users apart.

    Refuse to serve if the login is not the owner of the tables: it would see no rows.
    """
    with database_errors():
        problem = wall.problem()
        hides_all = wall.binds_login()
    if hides_all:
        raise CommandError(
            "The login of DATABASE_URL does not own the tables, so row-level security hides every row from it. "
            "Grant it the role that owns them, or set ROW_LEVEL_SECURITY=off and run "
            f"`{command('migrate')}` as the owner."
        )
    if problem:
        logger.warning("%s %s", wall.MISSING, problem)


def warn_about_durability() -> None:
    """Warn if PostgreSQL may lose what it has acknowledged."""
    with database_errors(), connection.cursor() as cursor:
        sql = "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off' ORDER BY name"
        cursor.execute(sql, [list(DURABILITY)])
        names = [name for (name,) in cursor.fetchall()]
    if names:
        logger.warning("a crash may lose acknowledged changes: PostgreSQL runs with %s = off", ", ".join(names))


def serve(sockets: list[socket.socket], *, workers: int) -> NoReturn:
    """Serve until a signal arrives, then end the process."""
    connections.close_all()
    code = run(sockets, workers=workers)
    for number in SIGNALS:  # another signal must not interrupt the stop of the embedded PostgreSQL
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def restart_on(port: int) -> NoReturn:
    """Restart this process with another ``MCP_SERVER_PORT``. Other settings depend on it, in workers too."""
    os.environ["MCP_SERVER_PORT"] = str(port)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (the same program, the same arguments)
