"""Migrations go forward and back, none is missing, and the five operations run on every supported PostgreSQL."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command

from tests.support.postgres import start
from tests.support.server_process import ROOT

DEBIAN = Path("/usr/lib/postgresql")
OURS = ("access", "conversations", "idempotency", "quotas", "statistics", "tasks", "users")
# Run in a separate process, because a process of Django has one database.
_BEGIN = """
import json
import django
django.setup()
from django.core.management import call_command
from django.db import connection
migrate = lambda *arguments: call_command("migrate", *arguments, verbosity=0)
tables = lambda: sorted(connection.introspection.table_names())
"""
_OPERATIONS = """
from todo_mcp.auth.principal import local_principal
from todo_mcp.core.envelope import to_json
from todo_mcp.core.operations import REGISTRY
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform
from todo_mcp.users.services import create_user
migrate()
create_user(user_id="alice")
def call(tool, **arguments):
    request = Call(operation=REGISTRY[tool], arguments=arguments, transport="http", request_id="x" * 8)
    return json.loads(to_json(perform(request, lambda target: local_principal("alice"))[0]))
added = [call("add_task", title="Buy milk", idempotency_key="a-key-of-my-own") for _ in range(2)]
id = added[0]["data"]["task_id"]
answers = [
    *added,
    call("update_task", task_id=id, title="Buy oats"),
    call("complete_task", task_id=id),
    call("list_tasks", status="completed"),
    call("delete_task", task_id=id),
    call("list_tasks"),
]
from tasks.models import TaskEvent
events = list(TaskEvent.objects.order_by("pgh_id").values_list("pgh_label", "pgh_context__tool"))
report = {"version": connection.pg_version // 10000, "answers": answers, "events": events, "complete": tables()}
"""
_BACK_AND_FORTH = """
for label in ("users", "statistics", "access"):  # and, with users, all that refers to them
    migrate(label, "zero")
report["gone"] = tables()
migrate()
report["again"] = tables()
"""

# What information_schema and pg_index say about the two tables, and how old and new rows look.
_LOOK = """
def look(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [list(row) for row in cursor.fetchall()]
def schema():
    return {
        "defaults": look("SELECT table_name, column_name, column_default FROM information_schema.columns WHERE"
            " table_name IN ('conversations', 'messages') AND column_default = 'now()' ORDER BY 1, 2"),
        "role": look("SELECT character_maximum_length FROM information_schema.columns"
            " WHERE (table_name, column_name) = ('messages', 'role')"),
        "check": look("SELECT convalidated FROM pg_constraint WHERE conname = 'messages_role'"),
        "index": look("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('messages_created')"),
        "file": look("SELECT pg_relation_filenode('messages')"),
        "roles": look("SELECT role, count(*) FROM messages GROUP BY role"),
    }
"""
_MESSAGES_BACK_AND_FORTH = """
import threading, time
import psycopg
migrate("users"), migrate("conversations", "0004")
look("INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at) "
    "VALUES ('alice', '', '', '', true, false, false, now()) RETURNING id")
look("INSERT INTO conversations (user_id, created_at, updated_at) VALUES ('alice', now(), now()) RETURNING id")
OLD = "INSERT INTO messages (conversation_id, user_id, role, content, created_at) SELECT 1, 'alice', 'user', 'x', now()"
report = {"before": schema()}
other = psycopg.connect(URL, autocommit=True)
other.execute("SET statement_timeout = '30s'")
reader = psycopg.connect(URL)
reader.execute("SELECT count(*) FROM messages")  # its transaction stays open
migration = threading.Thread(target=migrate, args=["conversations"], daemon=True)
migration.start()
WAITS = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%ALTER TABLE messages%'"
while not other.execute(WAITS).fetchall():
    time.sleep(0.01)
other.execute(OLD)  # the release before writes meanwhile
report["meanwhile"] = other.execute("SELECT count(*) FROM messages").fetchone()
reader.close()
migration.join()
report["after"] = schema()
other.execute("INSERT INTO conversations (user_id) VALUES ('alice')")
other.execute("INSERT INTO messages (conversation_id, user_id, role, content) VALUES (2, 'alice', 'assistant', 'x')")
try:
    other.execute(OLD.replace("'user'", "'tool'"))
except psycopg.errors.CheckViolation as error:
    report["refused"] = error.diag.constraint_name
migrate("conversations", "0004")
report["back"] = schema()
migrate("conversations")
report["again"] = schema()
"""

_TAGS = """
from django.db import connection
from tests.support.tag_rows import wrong_tag_rows
migrate()
def change(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
change("INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at) "
    "VALUES ('alice', '', '', '', true, false, false, now())")
change("INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at, tags, deleted_at) "
    "SELECT 'alice', 'x', '', false, now(), now(), CASE n % 3 WHEN 0 THEN '{Home,HOME,Work}' ELSE '{}' END::varchar[], "
    "CASE n % 4 WHEN 0 THEN now() END FROM generate_series(1, 12) n")
report = [wrong_tag_rows()]
migrate("tasks", "0007")
change("UPDATE tasks SET tags = '{Other}' WHERE id = 3; UPDATE tasks SET tags = '{}' WHERE id = 6")
import importlib
importlib.import_module("tasks.migrations.0009_fill_tags").BATCH = 5
migrate()
report += [wrong_tag_rows()]
change("UPDATE tasks SET tags = '{New}'")
report += [wrong_tag_rows()]
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM task_tags")
    report += cursor.fetchone()
"""


def run(url: str, script: str) -> Any:
    """Run a script on this database. Returns its report."""
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "todo_mcp.settings"}
    command = [sys.executable, "-c", f"{_BEGIN}{script}print(json.dumps(report))"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def _from_wheel(version: int) -> Callable[[Path], tuple[str, Callable[[], None]]]:
    def begin(directory: Path) -> tuple[str, Callable[[], None]]:
        server = start(directory, version)
        return server.get_uri(), server.cleanup

    return begin


def _from_debian(version: int) -> Callable[[Path], tuple[str, Callable[[], None]]]:
    programs = DEBIAN / str(version) / "bin"

    def begin(directory: Path) -> tuple[str, Callable[[], None]]:
        if not (programs / "initdb").exists():
            pytest.skip(f"PostgreSQL {version} is not installed in {programs}")
        data = directory / "data"
        as_owner = {"user": "postgres"} if os.geteuid() == 0 else {}
        if as_owner:
            shutil.chown(directory, "postgres")
            directory.chmod(0o700)

        def call(*command: str) -> None:
            subprocess.run(command, check=True, capture_output=True, cwd="/", **as_owner)  # type: ignore[call-overload]

        call(str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off"
        call(str(programs / "pg_ctl"), "-D", str(data), "-l", f"{directory}/log", "-o", options, "-w", "start")
        stop = (str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        return f"postgresql://postgres@/postgres?host={directory}", lambda: call(*stop)

    return begin


SERVERS = {"15": _from_debian(15), "16": _from_wheel(16), "18": _from_wheel(18)}


@contextmanager
def server(version: str) -> Iterator[str]:
    """The URL of a temporary, empty PostgreSQL of this major version."""
    directory = Path(tempfile.mkdtemp(prefix="todo-mcp-pg-", dir="/tmp"))
    directory.chmod(0o755)
    url, stop = SERVERS[version](directory)
    try:
        yield url
    finally:
        stop()
        shutil.rmtree(directory, ignore_errors=True)


def check_operations(report: dict[str, Any], version: str) -> None:
    assert str(report["version"]) == version
    answers = report["answers"]
    assert {answer["status"] for answer in answers} == {"success"}
    assert answers[0]["data"] == answers[1]["data"]
    (completed,) = answers[4]["data"]["tasks"]
    assert (completed["title"], completed["completed"]) == ("Buy oats", True)
    assert answers[6]["data"]["total"] == 0
    changes = [["update", f"{verb}_task"] for verb in ("update", "complete", "delete")]
    assert report["events"] == [["insert", "add_task"], *changes]


@pytest.mark.parametrize("version", ["15", "16"])
def test_migrations_and_the_five_operations_work_on_older_postgresql(version: str) -> None:
    with server(version) as url:
        check_operations(run(url, _OPERATIONS), version)


def test_every_migration_of_this_project_goes_forward_back_with_data_and_forward_again() -> None:
    with server("18") as url:
        report = run(url, _OPERATIONS + _BACK_AND_FORTH)
    check_operations(report, "18")
    ours = {model._meta.db_table for label in OURS for model in apps.get_app_config(label).get_models()}
    assert ours <= set(report["complete"])
    assert not ours & set(report["gone"])
    assert report["again"] == report["complete"]


def test_messages_get_their_index_and_defaults_while_the_release_before_reads_and_writes() -> None:
    """A long transaction holds the table. The migration waits for it, but nobody waits behind the migration."""
    with server("18") as url:
        report = run(url, f"URL = {url!r}{_LOOK}{_MESSAGES_BACK_AND_FORTH}")
    times = [["conversations", "created_at"], ["conversations", "updated_at"], ["messages", "created_at"]]
    before, after, back, again = (report[name] for name in ("before", "after", "back", "again"))
    assert (before["defaults"], before["role"], before["index"]) == ([], [[9]], [])
    assert report["meanwhile"] == [1]
    assert after["defaults"] == [[*column, "now()"] for column in times]
    assert (after["role"], after["check"], after["index"]) == ([[20]], [[True]], [[True]])
    assert after["file"] == before["file"]  # the table was not rewritten
    assert report["refused"] == "messages_role"
    assert {**back, "file": None, "roles": None} == {**before, "file": None, "roles": None, "role": [[20]]}
    assert back["file"] == after["file"]  # no rewrite, back and forth
    assert {**again, "file": None, "roles": None} == {**after, "file": None, "roles": None}
    assert sorted(again["roles"]) == sorted(back["roles"]) == [["assistant", 1], ["user", 1]]


def test_the_table_of_tags_is_filled_in_batches_and_kept_afterwards() -> None:
    with server("18") as url:
        assert run(url, _TAGS) == [[], [], [], 9]


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_app_of_this_project_with_tables_is_tested() -> None:
    with_tables = {config.label for config in apps.get_app_configs() if list(config.get_models())}
    theirs = {"admin", "auth", "contenttypes", "sessions", "oauth2_provider", "axes", "pghistory"}
    assert with_tables - theirs == set(OURS)
    assert settings.DEFAULT_AUTO_FIELD.endswith("BigAutoField")
