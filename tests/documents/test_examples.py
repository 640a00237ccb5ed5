"""The programs in docs/examples say what they need, and work against a real server.

``tests/e2e/test_oauth.py`` runs the chat backend. ``make examples`` tests the adapters, with their SDKs.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from tests.process.conftest import url_of
from tests.support.manage import Manage
from tests.support.server_process import ROOT
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

EXAMPLES = ROOT / "docs" / "examples"
ADAPTERS = [EXAMPLES / name for name in ("agents_session.py", "chatkit_store.py", "conversations_client.py")]
PROGRAMS = sorted({*EXAMPLES.glob("*.py")} - {*ADAPTERS})
ADAPTER_LINES_MAX = 80


def run(program: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("TODO_TOKEN", "CHAT_SECRET")}
    command = [sys.executable, str(program), *arguments]
    return subprocess.run(command, env=environment | variables, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_an_example_says_which_variable_is_missing(program: Path) -> None:
    result = run(program, "alice", "Buy milk")
    assert result.returncode == 1
    assert result.stderr.startswith("Set ") and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda path: path.name)
def test_an_adapter_is_short_enough_to_read_before_it_is_copied(adapter: Path) -> None:
    assert len(adapter.read_text().splitlines()) <= ADAPTER_LINES_MAX


def test_the_chat_backend_says_which_arguments_are_missing() -> None:
    result = run(EXAMPLES / "chat_backend.py", CHAT_SECRET="secret")
    assert (result.returncode, result.stderr.split(",")[0]) == (1, "Name the user and the title of a task")


def test_the_python_client_adds_a_task_and_lists_it(committed: None, tmp_path: Path, alice: User) -> None:
    token = issue_token(user_id="alice")
    server = Manage(tmp_path, "serve", DATABASE_URL=url_of(connection.settings_dict["NAME"])).wait_ready()
    try:
        result = run(EXAMPLES / "python_client.py", TODO_TOKEN=token, TODO_URL=f"http://localhost:{server.port}")
    finally:
        server.clean_up()
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"\d+ Call the bank \S+\n", result.stdout)
