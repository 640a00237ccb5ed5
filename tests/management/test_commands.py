"""What an operator types: users, tokens and calls, with one sentence for each mistake."""

import json
import uuid
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from tasks.models import Task, TaskEvent
from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.tokens import find_token
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    """What the command prints on standard output."""
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_a_user_is_made_with_what_is_said_of_them() -> None:
    assert "issue_token --user alice" in run("create_user", "alice", "--name", "Alice", "--email", "alice@example.com")
    alice = User.objects.get(pk="alice")
    assert (alice.name, alice.email, alice.is_staff, alice.has_usable_password()) == (
        "Alice",
        "alice@example.com",
        False,
        False,
    )


def test_without_a_terminal_an_operator_is_made_without_a_password_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())
    assert "changepassword admin" in run("create_user", "admin", "--superuser")
    admin = User.objects.get(pk="admin")
    assert (admin.is_staff, admin.is_superuser, admin.has_usable_password()) == (True, True, False)


@pytest.mark.parametrize(
    ("user_id", "reason"), [("me", "reserved"), ("alice", "already exists"), (" bob", "space"), ("b\nob", "control")]
)
def test_an_id_that_could_mislead_is_refused(alice: User, user_id: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("create_user", user_id)
    assert User.objects.count() == 1


def test_the_token_is_printed_alone_and_acts_for_its_user(alice: User) -> None:
    printed = run("issue_token", "--user", "alice")
    assert printed == printed.strip() + "\n"
    principal = authenticate(printed.strip())
    assert principal.user_id == "alice"
    assert principal.scopes == {"tasks:read", "tasks:write", "conversations:read", "conversations:write"}


def test_a_services_token_acts_for_any_user() -> None:
    principal = authenticate(run("issue_token", "--service", "chat").strip())
    assert principal.user_id is None
    assert "tasks:act_as" in principal.scopes


def test_scopes_and_expiry_are_as_asked(alice: User) -> None:
    token = run("issue_token", "--user", "alice", "--scopes", "tasks:read,tasks:write", "--expires", "30d").strip()
    record = find_token(token)
    assert record
    assert record.scope == "tasks:read tasks:write"
    assert timedelta(days=29) < record.expires - timezone.now() <= timedelta(days=30)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--user", "nobody"], "no user"),
        (["--user", "alice", "--scopes", "tasks:act_as"], "not allowed"),
        (["--user", "alice", "--scopes", "tasks:everything"], "not allowed"),
        (["--user", "alice", "--expires", "soon"], "90m, 12h, 30d or 4w"),
        ([], "required"),
        (["--user", "alice", "--service", "chat"], "not allowed with"),
    ],
)
def test_a_token_that_must_not_be_is_refused_in_one_sentence(alice: User, arguments: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("issue_token", *arguments)
    assert not AccessToken.objects.exists()


def test_tokens_are_listed_with_whose_they_are_and_without_their_value(alice: User) -> None:
    secrets = [
        run("issue_token", "--user", "alice", "--name", "laptop").strip(),
        run("issue_token", "--service", "chat"),
    ]
    listed = run("list_tokens")
    assert "user alice\tlaptop" in listed and "service chat" in listed
    assert not any(secret.strip() in listed for secret in secrets)
    assert "chat" not in run("list_tokens", "--user", "alice")
    assert "alice" not in run("list_tokens", "--service", "chat")


def test_tokens_are_revoked_by_id_by_user_and_by_service(alice: User) -> None:
    by_id, mine, chat = (
        run("issue_token", "--user", "alice").strip(),
        run("issue_token", "--user", "alice").strip(),
        run("issue_token", "--service", "chat").strip(),
    )
    record = find_token(by_id)
    assert record
    run("revoke_token", str(record.pk))
    assert (find_token(by_id), bool(find_token(mine)), bool(find_token(chat))) == (None, True, True)
    assert run("revoke_token", "--user", "alice") == "Revoked 1.\n"
    assert run("revoke_token", "--service", "chat") == "Revoked 1.\n"
    for token in (mine, chat):
        with pytest.raises(Unauthenticated):
            authenticate(token)


def test_revoking_what_is_not_there_says_so() -> None:
    with pytest.raises(CommandError, match="No token 4711"):
        run("revoke_token", "4711")


def test_a_call_prints_the_envelope_and_leaves_history_of_the_command_line(alice: User) -> None:
    envelope = json.loads(run("call", "add_task", '{"title": "Buy milk"}', "--user", "alice"))
    assert envelope["status"] == "success"
    assert Task.objects.get().title == "Buy milk"
    context = TaskEvent.objects.get().pgh_context
    assert (context["user"], context["client"], context["transport"]) == ("alice", "manage.py", "command")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["add_task", '{"title": ""}', "--user", "alice"], "invalid_arguments"),
        (["complete_task", '{"task_id": 1}', "--user", "alice"], "task_not_found"),
        (["list_tasks", '{"user_id": "bob"}', "--user", "alice"], "forbidden"),
        (["list_tasks", "--user", "nobody"], "user_not_found"),
    ],
)
def test_a_call_that_is_refused_prints_its_envelope_and_exits_with_1(
    alice: User, arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("call", *arguments)
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["data"]["error"] == error


@pytest.mark.parametrize("said", ["{", "[]", '{"title": "a", "title": "b"}', "nonsense"])
def test_arguments_that_are_no_object_are_refused_before_anything_runs(alice: User, said: str) -> None:
    with pytest.raises(CommandError, match=r"arguments"):
        run("call", "add_task", said, "--user", "alice")


def test_revoking_a_users_tokens_ends_a_connection_that_its_client_would_renew(alice: User) -> None:
    run("issue_token", "--user", "alice")
    access = AccessToken.objects.get()
    AccessToken.objects.update(expires=timezone.now() - timedelta(minutes=1))
    RefreshToken.objects.create(
        user=alice, token="secret", application=access.application, access_token=access, token_family=uuid.uuid4()
    )
    assert "renewed by its client" in run("list_tokens", "--user", "alice")
    assert run("revoke_token", "--user", "alice") == "Revoked 1.\n"
    assert not RefreshToken.objects.filter(revoked=None).exists()
