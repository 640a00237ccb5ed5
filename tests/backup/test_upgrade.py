"""One command moves a data directory from the wheel's other PostgreSQL to this release's, and keeps the old one."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.machine import Machine, state
from tests.support.processes import eventually
from todo_mcp.postgres.embedded import cluster
from todo_mcp.postgres.embedded.cluster import Cluster, upgraded
from todo_mcp.postgres.embedded.programs import MAJOR

OTHER = 16  # the wheel has it too
# The built-in locale came with PostgreSQL 17.
INITDB = [option for option in cluster.INITDB if "locale" not in option]


@pytest.fixture
def old(
    filled: Machine, backup_file: Path, embedded: Machine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Machine, dict[str, str]]]:
    """A machine whose data directory is from another major version of PostgreSQL, and the checksums of its tables."""
    monkeypatch.setattr(cluster, "INITDB", INITDB)
    embedded.data.mkdir(mode=0o711)
    server = Cluster(embedded.pgdata, OTHER)
    host, port = server.start()
    other = Machine(embedded.directory, f"postgresql://postgres@/todo_mcp?host={host}&port={port}")
    other.manage("restore", backup_file)
    checksums = other.checksums()
    server.stop()
    monkeypatch.undo()
    yield embedded, checksums


def test_the_start_names_the_command(embedded: Machine) -> None:
    (embedded.pgdata / "global").mkdir(parents=True)
    (embedded.pgdata / "global/pg_control").touch()
    (embedded.pgdata / "PG_VERSION").write_text(f"{OTHER}\n")
    for command in ("run", "migrate"):
        refusal = embedded.refusal(command)
        assert f"holds data of PostgreSQL {OTHER}, which the embedded PostgreSQL {MAJOR} cannot read" in refusal
        assert "Run `manage.py upgrade_postgres`" in refusal


def test_after_a_killed_and_a_second_upgrade_every_row_is_in_the_new_directory_and_the_old_one_is_kept(
    filled: Machine, old: tuple[Machine, dict[str, str]]
) -> None:
    machine, before = old
    process = machine.popen("upgrade_postgres")
    eventually(lambda: machine.pgdata.with_name("postgres.upgrading").exists(), "the new directory")
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert (machine.pgdata / "PG_VERSION").read_text() == f"{OTHER}\n"
    assert f"from PostgreSQL {OTHER} to {MAJOR}" in machine.manage("upgrade_postgres")
    assert (machine.pgdata / "PG_VERSION").read_text() == f"{MAJOR}\n"
    kept = machine.data / f"postgres-{OTHER}"
    assert (kept / "PG_VERSION").read_text() == f"{OTHER}\n"
    with machine.running():
        assert machine.checksums() == before == filled.checksums()
        assert state(machine) == "['', 'alice']"
    assert machine.secrets() == filled.secrets()
    names = {path.name for path in machine.data.iterdir() if not path.name.startswith("postgres.")}
    assert names == {"postgres", kept.name, "secret_key", "token"}
    assert not machine.pgdata.with_name("postgres.upgrading").exists()
    assert "nothing to do" in machine.manage("upgrade_postgres")


def test_an_upgrade_that_was_killed_before_its_last_step_is_completed_by_the_next_start(embedded: Machine) -> None:
    assert embedded.is_empty()
    embedded.query("CREATE TABLE kept AS SELECT 7 AS number")
    embedded.pgdata.rename(upgraded(embedded.pgdata))
    assert embedded.query("SELECT number FROM kept") == [(7,)]


def test_under_a_running_server_it_is_refused(embedded: Machine) -> None:
    with embedded.running():
        assert "uses" in (refusal := embedded.refusal("upgrade_postgres")) and "Stop it" in refusal


def test_a_version_whose_programs_are_missing_is_named(embedded: Machine) -> None:
    embedded.pgdata.mkdir(parents=True)
    (embedded.pgdata / "PG_VERSION").write_text("9\n")
    refusal = embedded.refusal("upgrade_postgres")
    assert "PostgreSQL 9 is not installed here. Install its programs (Debian: apt-get install postgresql-9" in refusal
    assert sorted(path.name for path in embedded.pgdata.iterdir()) == ["PG_VERSION"]


def test_with_another_database_it_is_refused(fresh: Machine) -> None:
    assert "DATABASE_URL is set" in fresh.refusal("upgrade_postgres")
