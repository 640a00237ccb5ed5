"""When a restore is refused. Each refusal says what to do, and changes nothing."""

from pathlib import Path

import psycopg
import pytest
from django.core.management.base import CommandError

from tests.backup.machine import BOB, Machine, rewritten
from tests.support.manage import Manage
from tests.support.processes import eventually
from todo_mcp.backup import archive
from todo_mcp.backup.restoring import restore


@pytest.mark.parametrize(
    "cut", ["empty", "header", "half", "last byte", "text", "byte in the dump", "byte in the sums"]
)
def test_a_damaged_file_is_noticed(backup_file: Path, tmp_path: Path, cut: str) -> None:
    path = damaged(backup_file, tmp_path, cut)
    with pytest.raises(CommandError, match="not a complete backup of todo-mcp"), archive.opened(path):
        pass


def test_a_damaged_file_is_refused_before_anything_changes(
    backup_file: Path, embedded: Machine, tmp_path: Path
) -> None:
    path = damaged(backup_file, tmp_path, "byte in the dump")
    assert "not a complete backup of todo-mcp" in embedded.refusal("restore", path)
    assert not embedded.pgdata.exists(), "not even a database was created"


def damaged(backup_file: Path, directory: Path, cut: str) -> Path:
    content = bytearray(backup_file.read_bytes())
    position = {"header": 300, "half": len(content) // 2, "last byte": len(content) - 1, "empty": 0}.get(cut)
    if position is not None:
        del content[position:]
    elif cut == "text":
        content = bytearray(b"not a backup\n" * 2000)
    else:
        place = content.index(b"PGDMP") + 5000 if "dump" in cut else content.rindex(b"  token") - 3
        content[place] ^= 1
    path = directory / "damaged.tar"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({"version": "0.1.10"}, "made by a newer todo-mcp, 0.1.10; this one is 0.1.0"),
        ({"migrations": [["tasks", "9999_later"]]}, "has the migration tasks.9999_later, which is unknown here"),
        ({"format": 2}, "Install that version"),
        (None, r"cannot be read \(No such file or directory\)"),
    ],
)
def test_what_is_newer_or_missing_is_refused(
    backup_file: Path, tmp_path: Path, manifest: dict[str, object] | None, reason: str
) -> None:
    """Before the database is asked: this test allows no question."""
    path = tmp_path / "other.tar"
    if manifest:
        rewritten(backup_file, path, **manifest)
    with pytest.raises(CommandError, match=reason):
        restore(path)


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({"pg_dump": 99}, "PostgreSQL 99, and the newest pg_restore here is 18. Install"),
        ({"schema": "elsewhere"}, "is of the schema 'elsewhere'"),
        ({"tables": {"tasks": [20, "1"]}}, "differ from the backup"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    backup_file: Path, fresh: Machine, tmp_path: Path, manifest: dict[str, object], reason: str
) -> None:
    assert reason in fresh.refusal("restore", rewritten(backup_file, tmp_path / "other.tar", **manifest))
    assert not fresh.secrets()
    assert fresh.is_empty()


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (BOB, "users"),
        ("CREATE TABLE of_another_program ()", "of_another_program"),
        (BOB + "; INSERT INTO conversations (user_id) VALUES ('bob')", "conversations"),
    ],
)  # fmt: skip
def test_a_database_that_is_not_empty_is_refused_and_kept(
    backup_file: Path, migrated: Machine, sql: str, named: str
) -> None:
    used = migrated
    used.query(sql)
    before = used.checksums()
    refusal = used.refusal("restore", backup_file)
    assert "is not empty" in refusal and named in refusal and "Restore into a new database" in refusal
    assert used.checksums() == before


def test_a_row_that_is_being_written_is_waited_for_and_kept(backup_file: Path, migrated: Machine) -> None:
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with migrated.running() as url, psycopg.connect(url) as writer:
        writer.execute(BOB)
        process = migrated.popen("restore", backup_file)
        eventually(lambda: process.poll() is not None or migrated.query(waits) == [(1,)], "the restore to wait")
        writer.commit()
    assert "is not empty" in process.communicate()[0]
    assert migrated.query("SELECT id FROM users") == [("bob",)]


def test_while_a_process_uses_the_embedded_server_it_is_refused(backup_file: Path, embedded: Machine) -> None:
    with embedded.running():
        assert "uses this database. Stop it, then restore again." in embedded.refusal("restore", backup_file)
    embedded.manage("restore", backup_file)


def test_under_a_running_server_of_another_host_it_is_refused(
    backup_file: Path, migrated: Machine, directory: Path
) -> None:
    with migrated.running() as url:
        other_host = Manage(directory, "serve", "--workers", "2", DATABASE_URL=url).wait_ready()
    try:
        assert "uses this database. Stop it" in migrated.refusal("restore", backup_file)
    finally:
        assert other_host.end() == 0
    migrated.manage("restore", backup_file)
