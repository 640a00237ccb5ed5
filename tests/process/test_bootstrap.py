"""`make run` for a newcomer: the first start, the second, and events between them."""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management.base import CommandError
from psycopg.pq import Ping
from pytest_django.fixtures import Settings

from tests.support.manage import Manage
from tests.support.processes import eventually, scratch
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import issue_token, list_tokens, revoke_token
from todo_mcp.postgres.embedded.cluster import Cluster
from todo_mcp.process import make_run
from todo_mcp.users.models import User
from todo_mcp.users.services import set_active

Start = Callable[..., Manage]


@dataclass
class FirstRun:
    data_dir: Path  # as the first start left it; its server has ended
    port: int
    output: str
    token: str


@pytest.fixture(scope="session")
def first_run() -> Iterator[FirstRun]:
    """The first start, with one task added."""
    with scratch() as directory:
        server = Manage(directory, "run", USER="Zoë Q.", LOGNAME="Zoë Q.")
        token = server.line("Token: ")
        assert server.wait_ready().call("add_task", token, title="Buy milk")["status"] == "success"
        assert server.end() == 0
        yield FirstRun(server.data_dir, server.port, server.output(), token)


@pytest.fixture
def directory() -> Iterator[Path]:
    with scratch() as directory:
        yield directory


@pytest.fixture
def data_dir(first_run: FirstRun, directory: Path) -> Path:
    """A copy of the data directory of the first start."""
    return shutil.copytree(first_run.data_dir, directory / "data")


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    processes: list[Manage] = []

    def start(*arguments: str, **environment: object) -> Manage:
        processes.append(Manage(directory, *arguments, **environment))  # type: ignore[arg-type]
        return processes[-1]

    yield start
    for process in processes:
        process.clean_up()


@pytest.fixture
def process_data_dir(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of this process."""
    monkeypatch.setenv("LOGNAME", "zoe")
    settings.TODO_DATA_DIR = tmp_path / "data"
    return tmp_path / "data"


def titles(server: Manage, token: str) -> list[str]:
    return [task["title"] for task in server.call("list_tasks", token)["data"]["tasks"]]


def test_the_first_start_prints_how_to_connect(first_run: FirstRun) -> None:
    url = f"http://localhost:{first_run.port}"
    lines = first_run.output.splitlines()
    assert f"MCP: {url}/mcp" in lines
    assert f"Token: {first_run.token}" in lines
    assert [line for line in lines if re.fullmatch(rf"Admin: {url}/admin/ \(ZoQ\. / \S{{16}}\)", line)]
    assert f'claude mcp add --transport http todo {url}/mcp --header "Authorization: Bearer ' in first_run.output


def test_only_the_owner_can_read_the_token_the_key_and_the_data(first_run: FirstRun) -> None:
    for name in ("token", "secret_key"):
        assert (first_run.data_dir / name).stat().st_mode & 0o777 == 0o600
    assert (first_run.data_dir / "postgres").stat().st_mode & 0o777 == 0o700


def test_a_second_start_has_the_same_data_and_token_and_shows_no_password(
    first_run: FirstRun, data_dir: Path, start: Start
) -> None:
    secret_key = (data_dir / "secret_key").read_text()
    server = start("run", data_dir=data_dir, PUBLIC_URL="https://todo.example.com").wait_ready()
    assert server.line("Token: ") == first_run.token
    assert server.line("MCP: ") == "https://todo.example.com/mcp"
    assert server.line("Admin: ") == "https://todo.example.com/admin/ (ZoQ.)"
    assert "changepassword ZoQ." in server.output()
    assert titles(server, first_run.token) == ["Buy milk"]
    assert (data_dir / "secret_key").read_text() == secret_key


def test_the_next_call_works_after_postgres_was_killed(first_run: FirstRun, data_dir: Path, start: Start) -> None:
    server = start("run", data_dir=data_dir).wait_ready()
    assert titles(server, first_run.token) == ["Buy milk"]
    os.kill(int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    assert titles(server, first_run.token) == ["Buy milk"]


def test_the_next_command_cleans_up_after_a_killed_server(first_run: FirstRun, data_dir: Path, start: Start) -> None:
    server = start("run", data_dir=data_dir).wait_ready()
    server.process.kill()
    server.process.wait()
    cluster = Cluster(data_dir / "postgres")
    assert cluster.ping() is Ping.OK  # no process was left to stop it
    command = start("list_tokens", data_dir=data_dir)
    assert command.process.wait(30) == 0, command.output()
    assert cluster.ping() is Ping.NO_RESPONSE


def test_a_command_beside_a_server_shares_its_postgres_and_leaves_it_running(
    first_run: FirstRun, data_dir: Path, start: Start
) -> None:
    server = start("run", data_dir=data_dir).wait_ready()
    command = start("call", "list_tasks", "{}", "--user", "ZoQ.", data_dir=data_dir)
    assert command.process.wait(30) == 0
    assert "Buy milk" in command.output()
    assert titles(server, first_run.token) == ["Buy milk"]
    assert server.end() == 0
    eventually(lambda: Cluster(data_dir / "postgres").ping() is Ping.NO_RESPONSE, "PostgreSQL to stop")


def test_an_unusable_data_directory_is_reported_in_one_line_without_traceback(data_dir: Path, start: Start) -> None:
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")
    line = start("run", data_dir=data_dir).refusal()
    assert line.startswith(f"todo-mcp: {data_dir}/postgres holds data of PostgreSQL 16, which the embedded ")


@pytest.mark.django_db
def test_a_revoked_token_is_replaced(process_data_dir: Path) -> None:
    first = make_run.ensure_access()
    assert first.password is not None
    assert make_run.ensure_access() == make_run.Access("zoe", first.token, password=None)
    (record,) = list_tokens(user_id="zoe")
    revoke_token(token_id=record.pk, cause=Cause(By.COMMAND))
    second = make_run.ensure_access()
    assert second.user_id == "zoe"
    assert second.token != first.token
    assert (process_data_dir / "token").read_text() == f"{second.token}\n"


@pytest.mark.django_db
def test_an_expired_token_and_a_token_of_another_database_are_replaced(process_data_dir: Path) -> None:
    process_data_dir.mkdir()
    for stale in ("todo_of-another-database", ""):
        (process_data_dir / "token").write_text(stale)
        assert make_run.ensure_access().token != stale
    expired = issue_token(user_id="zoe", expires_in=timedelta(seconds=-1))
    (process_data_dir / "token").write_text(expired)
    assert make_run.ensure_access().token != expired


@pytest.mark.django_db
@pytest.mark.parametrize(("login", "user_id"), [("me", "alice"), ("Ω", "alice"), ("a b", "ab"), ("root", "root")])
def test_the_first_user_is_named_after_the_user_of_the_system(
    process_data_dir: Path, monkeypatch: pytest.MonkeyPatch, login: str, user_id: str
) -> None:
    monkeypatch.setenv("LOGNAME", login)
    assert make_run.ensure_access().user_id == user_id
    assert User.objects.get(pk=user_id).is_superuser


@pytest.mark.django_db
def test_a_deactivated_user_is_reported(process_data_dir: Path) -> None:
    make_run.ensure_access()
    set_active(user_id="zoe", active=False)
    with pytest.raises(CommandError, match="The user zoe is deactivated"):
        make_run.ensure_access()


@pytest.mark.django_db
def test_a_data_directory_that_cannot_be_written_is_reported(process_data_dir: Path) -> None:
    process_data_dir.touch()
    with pytest.raises(CommandError, match=r"^TODO_DATA_DIR is .* cannot be used .*; set it to a directory"):
        make_run.ensure_access()
