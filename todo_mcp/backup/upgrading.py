"""Moves the embedded PostgreSQL's data directory to the major version of this release, and keeps the old directory.

A dump and a restore, with the checksums of all tables. They do not depend on the two versions' files and locales.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from todo_mcp.backup import archive
from todo_mcp.backup.making import write_database
from todo_mcp.backup.restoring import load
from todo_mcp.postgres.embedded.cluster import DATABASE, SUPERUSER, Cluster, complete_upgrade, upgraded
from todo_mcp.postgres.embedded.programs import MAJOR, find_programs
from todo_mcp.postgres.embedded.server import embedded_server


@dataclass(frozen=True)
class Upgraded:
    before: int
    kept: Path  # the old directory
    rows: int


def upgrade(pgdata: Path) -> Upgraded | None:
    """Upgrade the data directory. None if it does not need it. An interrupted upgrade leaves the old directory in use.

    Raises:
        ImproperlyConfigured: the old major version's programs are missing, or another process uses the directory.
    """
    with embedded_server(pgdata).unused():
        complete_upgrade(pgdata)
        version = pgdata / "PG_VERSION"
        if not version.exists() or (before := int(version.read_text())) == MAJOR:
            return None
        find_programs(before)
        fresh, dump = (pgdata.with_name(f"{pgdata.name}.{name}") for name in ("upgrading", "upgrading.tar"))
        _remove(fresh, dump)
        rows = _copy(Cluster(pgdata, before), Cluster(fresh), dump)
        kept = _free_name(pgdata.with_name(f"{pgdata.name}-{before}"))
        fresh.rename(upgraded(pgdata))
        pgdata.rename(kept)
        complete_upgrade(pgdata)  # the next start does it if this process is killed here
        _remove(fresh, dump)
    return Upgraded(before, kept, rows)


def _copy(old: Cluster, new: Cluster, dump: Path) -> int:
    """Copy the database by way of a dump. Returns the number of rows."""
    with _connected(old) as source, archive.new_file(dump) as file:
        source.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        writer = archive.Writer(file)
        write_database(source, writer)
        writer.close()
    with _connected(new) as target, archive.opened(dump) as backup:
        load(target, backup.manifest, lambda: backup.open(archive.DUMP))
        target.execute("ANALYZE")
        return sum(rows for rows, _ in backup.manifest["tables"].values())


@contextmanager
def _connected(cluster: Cluster) -> Iterator["psycopg.Connection[Any]"]:
    """A connection to a server that runs within this context. The context is one transaction."""
    host, port = cluster.start()
    try:
        with psycopg.connect(host=host, port=port, user=SUPERUSER, dbname=DATABASE) as connection:
            yield connection
    finally:
        cluster.stop()


def _remove(fresh: Path, dump: Path) -> None:
    """Remove what an upgrade leaves, or left when it was interrupted. Its server may still run."""
    if fresh.exists():
        if (fresh / "postmaster.pid").exists():
            Cluster(fresh).stop()
        shutil.rmtree(fresh)
    fresh.with_name(f"{fresh.name}.alive").unlink(missing_ok=True)
    for path in (dump, *dump.parent.glob(f".{dump.name}.*.partial")):
        path.unlink(missing_ok=True)


def _free_name(path: Path) -> Path:
    names = (path, *(path.with_name(f"{path.name}.{number}") for number in range(2, 1000)))
    return next(name for name in names if not name.exists())
