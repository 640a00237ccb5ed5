"""A restore gives all of a backup or nothing, and refuses with a sentence that says what to do."""

import os
import re
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.core.management.base import CommandError

from tests.backup.machine import Machine, rewritten, state
from tests.postgres.test_migrations import server
from tests.support.manage import Manage
from tests.support.processes import eventually
from todo_mcp.backup import archive

BOB = """
    INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at)
    VALUES ('bob', '', '', '', true, false, false, now())
"""
ALL = os.environ.get("TODO_TEST_OPERATING") == "all"


def test_a_fresh_machine_gets_every_row_the_schema_and_the_secrets(
    filled: Machine, backup_file: Path, embedded: Machine
) -> None:
    fresh = embedded
    assert "Restored" in fresh.manage("restore", backup_file)
    assert fresh.checksums() == filled.checksums()
    assert fresh.secrets() == filled.secrets()
    assert fresh.data.joinpath("token").stat().st_mode & 0o777 == 0o600
    schema = (
        "SELECT format('%s.%s', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT tgisinternal "
        "UNION SELECT indexdef FROM pg_indexes "
        "UNION SELECT conname || convalidated::text FROM pg_constraint UNION SELECT prosrc FROM pg_proc WHERE "
        "pronamespace = 'public'::regnamespace"
    )
    assert sorted(fresh.query(schema)) == sorted(filled.query(schema))
    fresh.manage("migrate", "--check")


def test_new_rows_get_ids_after_those_of_the_backup(backup_file: Path, fresh: Machine) -> None:
    fresh.manage("restore", backup_file)
    ((last,),) = fresh.query("SELECT max(id) FROM tasks")
    fresh.manage("call", "add_task", '{"title": "After"}', "--user", "alice")
    assert fresh.query("SELECT max(id) FROM tasks WHERE title = 'After'")[0][0] > last


def test_a_migrated_database_without_rows_is_empty(filled: Machine, backup_file: Path, migrated: Machine) -> None:
    migrated.manage("restore", backup_file)
    assert migrated.checksums(["tasks", "users", "task_events"]) == filled.checksums(["tasks", "users", "task_events"])


def test_a_backup_of_the_release_before_is_migrated(fresh: Machine, migrated: Machine, tmp_path: Path) -> None:
    old = migrated
    old.query(BOB)
    old.manage("migrate", "-v0", "tasks", "0009")
    old.manage("backup", tmp_path / "old.tar")
    fresh.manage("restore", tmp_path / "old.tar")
    fresh.manage("migrate", "--check")
    assert fresh.checksums(["users"]) == old.checksums(["users"])


# Somebody's role that may read the tasks, as docs/security.md shows.
REPORTS = """
    CREATE ROLE reports LOGIN;
    GRANT SELECT ON tasks TO reports;
    CREATE POLICY reports ON tasks FOR SELECT TO reports USING (true);
"""


def create_owned(url: str, name: str, owner: str, options: str = "") -> str:
    """Create a database and its owner, who is no superuser. Returns the address for the owner."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {owner} LOGIN {options}".encode())
        connection.execute(f'CREATE DATABASE "{name}" OWNER {owner}'.encode())
        connection.execute(f"ALTER DATABASE \"{name}\" SET bytea_output = 'escape'".encode())
    return re.sub("//[^@]*@/[^?]*", f"//{owner}@/{quote(name)}", url)


@pytest.mark.parametrize("version", ["15", "16", "18"] if ALL else ["15", "18"])
def test_own_postgresql_of_each_version_is_restored_and_backed_up(
    filled: Machine, backup_file: Path, fresh: Machine, directory: Path, version: str
) -> None:
    """From the embedded one into this version, and back. The database has another name, other settings and an owner."""
    with server(version) as url:
        own = Machine(directory / "own", create_owned(url, "To-do 2", "maker", "CREATEROLE"))
        own.manage("restore", backup_file)
        assert own.secrets() == filled.secrets()
        assert state(own) == "['', 'alice']"
        assert visible(own) == {"nobody": 0, "alice": 20}
        own.query(REPORTS)
        own.manage("backup", directory / "again.tar")
    fresh.manage("restore", directory / "again.tar")
    assert fresh.checksums() == filled.checksums()
    assert state(fresh) == "['', 'alice']"
    assert fresh.query("SELECT DISTINCT polname::text FROM pg_policy") == [("own_rows",)], "reports is not known here"


def visible(machine: Machine) -> dict[str, int]:
    """The number of tasks that the role of calls sees, for some users."""
    with machine.running() as url, psycopg.connect(url) as connection:
        connection.execute("SELECT set_config('role', 'calls_of_' || current_database(), false)")
        counts = {}
        for user in ("nobody", "alice"):
            connection.execute("SELECT set_config('app.user_id', %s, false)", [user])
            counts[user] = connection.execute("SELECT count(*) FROM tasks").fetchall()[0][0]
        return counts


def test_an_owner_that_may_not_create_roles_gets_every_row_and_is_told_what_to_do(
    filled: Machine, backup_file: Path, directory: Path
) -> None:
    with server("18") as url:
        own = Machine(directory / "own", create_owned(url, "plain", "plain"))
        result = own.run("restore", backup_file)
        assert result.returncode == 0
        assert "As a superuser, run CREATE ROLE" in result.stderr
        assert own.checksums() == filled.checksums()


def test_make_run_raises_the_wall_after_a_restore_that_was_killed_before_it(backup_file: Path, fresh: Machine) -> None:
    fresh.manage("restore", backup_file)
    fresh.query("DROP POLICY own_rows ON tasks")
    assert state(fresh) == "['Run `manage.py migrate`.', 'alice']"
    fresh.manage("shell", "--no-imports", "-c", "from todo_mcp.process import make_run; make_run.migrate()")
    assert state(fresh) == "['', 'alice']"


def test_with_another_database_the_data_directory_keeps_its_own_secrets(
    filled: Machine, backup_file: Path, fresh: Machine
) -> None:
    fresh.data.mkdir()
    fresh.data.joinpath("token").write_text("mine\n")
    fresh.manage("restore", backup_file)
    assert fresh.secrets() == {**filled.secrets(), "token": "mine\n"}


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


def test_a_missing_file_is_refused(fresh: Machine, tmp_path: Path) -> None:
    refusal = fresh.refusal("restore", tmp_path / "none.tar")
    assert "none.tar cannot be read (No such file or directory)" in refusal


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({"version": "0.1.10"}, "made by a newer todo-mcp, 0.1.10; this one is 0.1.0"),
        ({"migrations": [["tasks", "9999_later"]]}, "has the migration tasks.9999_later, which is unknown here"),
        ({"format": 2}, "Install that version"),
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


def test_of_two_restores_at_once_at_most_one_happens(filled: Machine, backup_file: Path, fresh: Machine) -> None:
    both = [fresh.popen("restore", backup_file) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert sum(process.returncode == 0 for process in both) <= 1, outputs
    assert "Traceback" not in "".join(outputs)
    if fresh.is_empty():  # each has seen the other one
        fresh.manage("restore", backup_file)
    assert fresh.checksums() == filled.checksums()
