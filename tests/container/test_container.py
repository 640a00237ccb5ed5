"""A person starts the image, uses it, stops it, and starts it again."""

import json
import os
import re
import shutil
import signal
import socket
from pathlib import Path

import httpx2

from tests.container.conftest import Start, make_volume
from tests.container.image import Image
from tests.container.running import Container
from tests.support.processes import PATIENCE, scratch
from tests.support.server_process import status_of

LOCK = "postgres/postmaster.pid"  # only while PostgreSQL runs, or after it was killed


def test_a_fresh_container_serves_the_printed_token_and_keeps_its_data(
    image: Image, volume: Path, start: Start
) -> None:
    first = start(volume).ready()
    assert check_health(image, first) == 0
    first.call("add_task", title="Call the bank", due="friday 9am")
    assert first.execute("id", "-u").strip() == "1000"
    documents = f"http://127.0.0.1:{first.port}/api/docs"
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', httpx2.get(documents).text)
    assert files and all(status_of(f"http://127.0.0.1:{first.port}{file}") == 200 for file in files)
    token = first.token()
    first.stop()
    assert not (volume / LOCK).exists(), "PostgreSQL was stopped before the container ended"
    second = start(volume).ready()
    assert second.token() == token
    assert second.titles() == ["Call the bank"]


def test_the_health_check_fails_while_nothing_answers(image: Image, volume: Path, start: Start) -> None:
    idle = start(volume, "60", entry=["sleep"])
    assert check_health(image, idle) == 1


def test_a_call_that_has_begun_is_answered_after_sigterm(volume: Path, start: Start) -> None:
    container = start(volume).ready()
    body = b'{"title": "Call the bank"}'
    head = [
        "POST /api/tools/add_task HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {container.token()}",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",  # the answer shows that the call has begun
    ]
    with socket.create_connection(("127.0.0.1", container.port), timeout=PATIENCE) as connection:
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        container.signal(signal.SIGTERM)
        connection.sendall(body)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"Call the bank"' in answer
    assert container.wait() == 0
    assert not (volume / LOCK).exists()


def test_nothing_is_lost_if_the_container_is_killed(volume: Path, start: Start) -> None:
    first = start(volume).ready()
    first.call("add_task", title="Call the bank")
    first.signal(signal.SIGKILL)
    first.wait()
    assert (volume / LOCK).exists()
    assert start(volume).ready().titles() == ["Call the bank"]


def test_two_containers_with_one_volume_share_its_postgresql(volume: Path, start: Start) -> None:
    first = start(volume).ready()
    second = start(volume).ready()
    first.call("add_task", title="In the first")
    second.call("add_task", title="In the second")
    first.stop()  # PostgreSQL ran in it
    second.call("add_task", title="Afterwards")
    assert second.titles() == ["Afterwards", "In the second", "In the first"]
    second.stop()
    assert not (volume / LOCK).exists()


def test_a_backup_of_the_running_container_is_restored_in_a_new_volume(volume: Path, start: Start) -> None:
    first = start(volume).ready()
    first.call("add_task", title="Call the bank")
    first.execute("todo-mcp", "backup", "/data/todo.tar")
    first.call("add_task", title="Later")
    with scratch() as directory:
        other = make_volume(directory, "other")
        shutil.copy2(volume / "todo.tar", other)
        os.chown(other / "todo.tar", 1000, 1000)
        restore = start(other, "restore", "/data/todo.tar")
        assert restore.wait() == 0, restore.output()
        second = start(other).ready()
        assert second.token() == first.token()
        assert second.titles() == ["Call the bank"]


def test_with_database_url_it_migrates_backs_up_and_serves_with_two_workers(volume: Path, start: Start) -> None:
    # Of the volume, these containers use only the socket of the first one's PostgreSQL.
    owner = start(volume).ready()
    owner.execute("todo-mcp", "dbshell", "--", "-c", "CREATE DATABASE own")
    own = {"DATABASE_URL": "postgresql://postgres@/own?host=/data/postgres"}
    migrate = start(volume, "migrate", **own)
    assert migrate.wait() == 0, migrate.output()
    server = start(volume, "serve", "--host", "0.0.0.0", "--workers", "2", **own).ready()
    server.execute("todo-mcp", "create_user", "alice")
    token = server.execute("todo-mcp", "issue_token", "--user", "alice").strip()
    assert token.startswith("todo_")
    server.execute("todo-mcp", "call", "add_task", '{"title": "Call the bank"}', "--user", "alice")
    server.execute("todo-mcp", "backup", "/tmp/own.tar")
    server.execute("todo-mcp", "purge")
    tasks = json.loads(server.execute("todo-mcp", "call", "list_tasks", "{}", "--user", "alice"))
    assert [task["title"] for task in tasks["data"]["tasks"]] == ["Call the bank"]
    server.stop()


def test_a_volume_that_it_cannot_write_to_is_one_sentence(volume: Path, start: Start) -> None:
    os.chown(volume, 0, 0)
    volume.chmod(0o755)
    container = start(volume)
    assert container.wait() == 1
    assert container.output().count("\n") == 1
    assert "TODO_DATA_DIR is '/data', which cannot be used" in container.output()


def test_docker_with_an_account_without_a_name_is_told_that_postgresql_needs_one(volume: Path, start: Start) -> None:
    container = start(volume, user="4711:0")
    assert container.wait() == 1
    assert container.output().count("\n") == 1 and "4711: user does not exist" in container.output()


def check_health(image: Image, container: Container) -> int:
    """The exit code of the image's health check, run as docker runs it."""
    kind, *command = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    return container.run(*command).returncode
