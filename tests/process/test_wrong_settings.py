"""No command ends in a traceback because of a setting: real processes, with wrong settings and wrong databases."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.manage import Manage
from tests.support.processes import PATIENCE
from tests.support.server_process import Database, environment_with, run_manage

Refusal = Callable[..., str]
PASSWORD = "s3cr3t-words"


@pytest.fixture
def refusal(tmp_path: Path) -> Iterator[Refusal]:
    """The only line of a command that fails with exit code 1."""
    processes: list[Manage] = []

    def refusal(command: str, **environment: object) -> str:
        processes.append(Manage(tmp_path, *command.split(), **environment))  # type: ignore[arg-type]
        line = processes[-1].refusal()
        assert line.startswith(("todo-mcp: ", "CommandError: ")) and line.endswith(".")
        assert PASSWORD not in line
        return line.partition(": ")[2]

    yield refusal
    for process in processes:
        process.clean_up()


@pytest.fixture(scope="module")
def without_tls() -> Iterator[int]:
    """The port of a server that refuses TLS, as PostgreSQL without a certificate does."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(8)
                    connection.sendall(b"N")
                    connection.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("command", "name", "value", "words"),
    [
        ("migrate", "DATABASE_URL", f"mysql://u:{PASSWORD}@h/db", "is not a PostgreSQL URL"),
        ("serve", "DATABASE_URL", f"postgresql://u:{PASSWORD}@h/db?foo=1", "the parameter 'foo'"),
        ("call list_tasks --user alice", "LOG_LEVEL", "loud", "is 'loud'"),
        ("check", "MCP_SERVER_PORT", "tcp://10.0.0.1:5000", "not a whole number"),
        ("run", "JWT_ISSUERS", "{", "Invalid JSON"),
        ("list_tokens", "DJANGO_SETTINGS_MODULE", "other.settings", "does not exist"),
        ("list_tokens", "DJANGO_SETTINGS_MODULE", "json", "has other settings"),
        ("migrate", "DJANGO_SETTINGS_MODULE", ".settings", "cannot be imported (TypeError)"),
        ("call list_tasks --user alice", "DJANGO_SETTINGS_MODULE", "todo_mcp.urls", "cannot be imported"),
        ("create_user alice", "PROMETHEUS_MULTIPROC_DIR", "/dev/null/x", "is not a directory"),
    ],
)
def test_a_wrong_variable_is_one_sentence(refusal: Refusal, command: str, name: str, value: str, words: str) -> None:
    line = refusal(command, **{name: value})
    assert line.startswith((f"{name} ", f"{name},")) and words in line


@pytest.mark.parametrize(
    "command",
    [
        "migrate",
        "serve",
        "run",
        "call list_tasks --user alice",
        "create_user alice",
        "issue_token --user alice",
        "list_tokens",
        "purge",
        "export_user alice",
        "seed_demo",
    ],
)
def test_an_unreachable_database_is_one_sentence(refusal: Refusal, command: str) -> None:
    line = refusal(command, DATABASE_URL=f"postgresql://u:{PASSWORD}@127.0.0.1:1/none")
    assert line.startswith("DATABASE_URL names a database that cannot be used (Connection refused); ")


@pytest.mark.parametrize(
    ("command", "url", "words"),
    [
        ("migrate", "postgresql://todo@nowhere.invalid/todo", "nowhere.invalid"),
        ("create_user alice", "postgresql://todo@a..b/todo", "not a host name"),
        ("serve", "postgresql://todo@127.0.0.1:{port}/todo?sslmode=require", "does not support SSL"),
        ("migrate", "postgresql://todo@127.0.0.1:1/todo?channel_binding=often", "invalid channel_binding"),
    ],
)
def test_a_wrong_address_is_one_sentence(
    refusal: Refusal, without_tls: int, command: str, url: str, words: str
) -> None:
    line = refusal(command, DATABASE_URL=url.format(port=without_tls))
    assert line.startswith("DATABASE_URL names a database that cannot be used (") and words in line


def test_a_wrong_certificate_path_is_one_sentence(refusal: Refusal, without_tls: int) -> None:
    url = f"postgresql://todo@127.0.0.1:{without_tls}/todo?sslmode=verify-full&sslrootcert=/none"
    assert refusal("list_tokens", DATABASE_URL=url).startswith("DATABASE_URL names a database that cannot be used (")


def test_a_database_that_refuses_or_lacks_tables_is_one_sentence(refusal: Refusal, database: Database) -> None:
    rules = Path(database.query("SHOW hba_file")[0][0])
    rules.write_text(f"local all test_locked scram-sha-256\n{rules.read_text()}")
    database.query("SELECT pg_reload_conf()")
    database.query("CREATE ROLE test_locked LOGIN PASSWORD 'right'")
    database.query("CREATE ROLE test_other LOGIN")
    database.query("CREATE DATABASE test_empty")
    try:
        locked = database.url.replace("postgres@", f"test_locked:{PASSWORD}@")
        assert "password authentication failed" in refusal("create_user alice", DATABASE_URL=locked)
        assert "does not exist" in refusal("migrate", DATABASE_URL=database.url.replace("/todo_mcp", "/test_none"))
        other = database.url.replace("postgres@", "test_other@")
        assert "permission denied" in refusal("list_tokens", DATABASE_URL=other)
        empty = database.url.replace("/todo_mcp", "/test_empty")
        for command in ("call list_tasks --user alice", "issue_token --user alice"):
            assert "without the tables of this version; run `manage.py migrate`" in refusal(command, DATABASE_URL=empty)
        assert "no schema" in refusal("migrate -v0", DATABASE_URL=f"{empty}&schema=Nowhere")
    finally:
        database.query("DROP DATABASE test_empty")
        database.query("DROP ROLE test_locked")
        database.query("DROP ROLE test_other")


def test_parameters_of_other_drivers_work_and_are_reported_once(tmp_path: Path, database: Database) -> None:
    url = f"{database.url}&prepared_statement_cache_size=0&ssl=true&connection_limit=1&schema=public"
    process = Manage(tmp_path, "serve", "--workers", "2", DATABASE_URL=url)
    try:
        process.wait_ready()  # a signal before this moment ends a start-up, with 143
        assert process.end() == 0
    finally:
        process.clean_up()
    assert process.output().count("connection_limit") == 1
    assert "prepared_statement" not in process.output()


def test_dates_are_read_whatever_their_form_is_in_the_environment_and_in_the_database(database: Database) -> None:
    database.query("CREATE ROLE test_german LOGIN SUPERUSER")
    database.query("ALTER ROLE test_german SET datestyle = 'German'")
    of_role = environment_with({"DATABASE_URL": database.url.replace("postgres@", "test_german@")})
    of_process = environment_with({"DATABASE_URL": database.url, "PGDATESTYLE": "German", "PGTZ": "x", "PGGEQO": "x"})
    list_tasks = ("call", "list_tasks", "--user", "hans")
    try:
        run_manage("create_user", "hans", environment=of_role)
        run_manage("call", "add_task", '{"title": "Milch"}', "--user", "hans", environment=of_process)
        for environment in (of_role, of_process):
            assert "Milch" in run_manage(*list_tasks, environment=environment)
    finally:
        run_manage("delete_user", "hans", "--yes", environment=of_process)
        database.query("DROP ROLE test_german")


def test_variables_about_another_server_do_not_concern_the_embedded_one(tmp_path: Path) -> None:
    others = {"PGSSLMODE": "x", "PGOPTIONS": "x", "PGHOST": "nowhere", "PGSERVICE": "x", "PGTZ": "x", "PGGEQO": "x"}
    command = Manage(tmp_path, "migrate", "-v0", **others)  # type: ignore[arg-type]
    try:
        assert command.process.wait(PATIENCE) == 0, command.output()
    finally:
        command.clean_up()


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/passwd/data", "/proc/data", "x" * 300, "~nobody-of-this-name/x"])
def test_a_data_directory_that_cannot_be_used_is_one_sentence(refusal: Refusal, path: str) -> None:
    line = refusal("call list_tasks --user alice", TODO_DATA_DIR=path)
    assert line.startswith("TODO_DATA_DIR is ")


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_BSP_SCHEDULE_DELAY", "soon"), ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1")]
)
def test_a_variable_of_opentelemetry_that_its_sdk_refuses_is_named(refusal: Refusal, name: str, value: str) -> None:
    line = refusal("serve", **{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", name: value})
    assert line.startswith(f"{name} has a value that OpenTelemetry refuses (")
