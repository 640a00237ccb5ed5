"""Commands that ask a question, run where nobody can answer: a cron job, a container, a pipe."""

import os
import subprocess

import pytest

from tests.support.processes import PATIENCE
from tests.support.server_process import ROOT, Database, manage_command

GENERAL = "todo-mcp: This command asks a question, and nobody answered. Run it at a terminal, or see its help."


def run(database: Database, *command: str, answers: str = "", closed: bool = False) -> tuple[int, str, str]:
    """The exit code, the output and the last line of the errors. There is no terminal."""
    result = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *manage_command(*command)] if closed else manage_command(*command),
        input=answers,
        cwd=ROOT,
        env=database.environment() | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        start_new_session=True,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result.returncode, result.stdout, result.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize("closed", [False, True], ids=["ended", "closed"])
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("delete_user", "CommandError: Nothing was erased. Without a terminal, confirm with --yes."),
        ("changepassword", GENERAL),
        ("flush", GENERAL),
    ],
)
def test_a_command_that_asks_says_what_it_needs_and_changes_nothing(
    database: Database, command: str, reason: str, closed: bool
) -> None:
    user, _ = database.new_user()
    arguments = [command] if command == "flush" else [command, user]
    code, _, error = run(database, *arguments, closed=closed)
    assert (code, error) == (1, reason)
    assert database.query("SELECT password FROM users WHERE id = %s", user)[0][0].startswith("!")


def test_an_operator_is_created_without_a_question(database: Database) -> None:
    code, output, _ = run(database, "create_user", f"operator-{os.getpid()}", "--staff", closed=True)
    assert code == 0 and "The user has no password yet" in output


@pytest.mark.parametrize(("answer", "code"), [("{}", 0), ("{} ", 1), ("yes", 1), ("", 1)])
def test_a_pipe_may_confirm_with_the_id(database: Database, answer: str, code: int) -> None:
    user, _ = database.new_user()
    assert run(database, "delete_user", user, answers=f"{answer.format(user)}\n")[0] == code
    assert len(database.query("SELECT id FROM users WHERE id = %s", user)) == code


def test_yes_needs_no_answer(database: Database) -> None:
    user, _ = database.new_user()
    assert run(database, "delete_user", user, "--yes", closed=True)[0] == 0
