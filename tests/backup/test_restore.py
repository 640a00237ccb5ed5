"""A restore gives all of a backup or nothing, and refuses with a sentence that says what to do."""

import os
import re
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection

from tests.backup.machine import BOB, Machine, state
from tests.postgres.test_migrations import server
from todo_mcp.backup import restoring

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
        "SELECT format('%s %s', relname, acl) FROM pg_class, unnest(relacl) acl WHERE relnamespace = "
        "'public'::regnamespace UNION SELECT format('%s.%s %s', attrelid::regclass, attname, acl) FROM pg_attribute, "
        "unnest(attacl) acl WHERE attrelid IN ('users'::regclass, 'oauth2_provider_accesstoken'::regclass) "
        "UNION SELECT format('%s %s', polrelid::regclass, pg_get_expr(polqual, polrelid)) FROM pg_policy "
        "UNION SELECT format('%s.%s', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT tgisinternal "
        "UNION SELECT indexdef FROM pg_indexes "
        "UNION SELECT conname || convalidated::text FROM pg_constraint UNION SELECT prosrc FROM pg_proc WHERE "
        "pronamespace = 'public'::regnamespace"
    )
    assert sorted(fresh.query(schema)) == sorted(filled.query(schema))
    assert any("calls_of_todo_mcp" in line for (line,) in fresh.query(schema))
    fresh.manage("migrate", "--check")
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


@pytest.mark.django_db
def test_numbers_that_postgresql_keeps_in_the_options_of_columns_are_left_out() -> None:
    """PostgreSQL 15.20 keeps them; a pg_dump of 18.4 writes them into the dump, and a server of 18.4 refuses them."""
    options = [f"ALTER TABLE ONLY public.tasks ALTER COLUMN id SET ({name}=5);" for name in ("pg_attver", "n_distinct")]
    connection.ensure_connection()
    assert restoring._adapted("\n".join(options), connection.connection) == options[1]


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


@pytest.mark.parametrize("version", ["15", "16", "18"] if ALL else ["15"])
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


MAKE_RUN = """
from todo_mcp.postgres import wall
from todo_mcp.process import make_run
print([wall.problem(), make_run.migrate(), wall.problem()])
"""


def test_make_run_raises_the_wall_after_a_restore_that_was_killed_before_its_last_step(migrated: Machine) -> None:
    """A copy of a database, too, lacks the role for its name."""
    assert migrated.manage("shell", "--no-imports", "-c", MAKE_RUN).strip() == "['Run `manage.py migrate`.', 0, '']"


def test_with_another_database_the_data_directory_keeps_its_own_secrets(
    filled: Machine, backup_file: Path, fresh: Machine
) -> None:
    fresh.data.mkdir()
    fresh.data.joinpath("token").write_text("mine\n")
    fresh.manage("restore", backup_file)
    assert fresh.secrets() == {**filled.secrets(), "token": "mine\n"}


def test_of_two_restores_at_once_at_most_one_happens(filled: Machine, backup_file: Path, fresh: Machine) -> None:
    both = [fresh.popen("restore", backup_file) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert sum(process.returncode == 0 for process in both) <= 1, outputs
    assert "Traceback" not in "".join(outputs)
    if fresh.is_empty():  # each has seen the other one
        fresh.manage("restore", backup_file)
    assert fresh.checksums() == filled.checksums()
