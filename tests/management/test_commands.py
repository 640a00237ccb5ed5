"""Commands for operators: users, tokens and calls, with one sentence for each mistake."""

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
from todo_mcp import command_line
from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.tokens import find_token
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    """Return what the command prints on standard output."""
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_create_user_stores_the_name_and_the_email_address() -> None:
    assert "issue_token --user alice" in run("create_user", "alice", "--name", "Alice", "--email", "alice@example.com")
    alice = User.objects.get(pk="alice")
    assert (alice.name, alice.email, alice.is_staff, alice.has_usable_password()) == (
        "Alice",
        "alice@example.com",
        False,
        False,
    )


def test_without_a_terminal_an_operator_is_created_without_a_password_and_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())
    assert "changepassword admin" in run("create_user", "admin", "--superuser")
    admin = User.objects.get(pk="admin")
    assert (admin.is_staff, admin.is_superuser, admin.has_usable_password()) == (True, True, False)


@pytest.mark.parametrize(
    ("user_id", "reason"), [("me", "reserved"), ("alice", "already exists"), (" bob", "space"), ("b\nob", "control")]
)
def test_a_misleading_or_existing_id_is_refused(alice: User, user_id: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("create_user", user_id)
    assert User.objects.count() == 1


def test_issue_token_prints_only_the_token_and_the_token_acts_for_its_user(alice: User) -> None:
    output = run("issue_token", "--user", "alice")
    assert output == output.strip() + "\n"
    principal = authenticate(output.strip())
    assert principal.user_id == "alice"
    assert principal.scopes == {"tasks:read", "tasks:write", "conversations:read", "conversations:write"}


def test_a_service_token_acts_for_any_user() -> None:
    principal = authenticate(run("issue_token", "--service", "chat").strip())
    assert principal.user_id is None
    assert "tasks:act_as" in principal.scopes


def test_issue_token_applies_the_requested_scopes_and_expiry(alice: User) -> None:
    token = run("issue_token", "--user", "alice", "--scopes", "tasks:read,tasks:write", "--expires", "30d").strip()
    record = find_token(token)
    assert record
    assert record.scope == "tasks:read tasks:write"
    assert timedelta(days=29) < record.expires - timezone.now() <= timedelta(days=30)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--user", "nobody"], "not found"),
        (["--user", "alice", "--scopes", "tasks:act_as"], "not allowed"),
        (["--user", "alice", "--scopes", "tasks:everything"], "not allowed"),
        (["--user", "alice", "--expires", "soon"], "90m, 12h, 30d or 4w"),
        ([], "required"),
        (["--user", "alice", "--service", "chat"], "not allowed with"),
    ],
)
def test_issue_token_refuses_bad_arguments_in_one_sentence(alice: User, arguments: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("issue_token", *arguments)
    assert not AccessToken.objects.exists()


def test_list_tokens_shows_owners_and_never_the_value_of_a_token(alice: User) -> None:
    secrets = [
        run("issue_token", "--user", "alice", "--name", "laptop").strip(),
        run("issue_token", "--service", "chat"),
    ]
    listing = run("list_tokens")
    header, *lines = [line.split("\t") for line in listing.splitlines()]
    assert header == ["ID", "OWNER", "NAME", "SCOPES", "CREATED", "EXPIRES"]
    assert [line[1:3] for line in lines] == [["service chat", "chat"], ["user alice", "laptop"]]
    assert {len(line) for line in lines} == {len(header)}
    assert not any(secret.strip() in listing for secret in secrets)
    assert "chat" not in run("list_tokens", "--user", "alice")
    assert "alice" not in run("list_tokens", "--service", "chat")


def test_tokens_are_revoked_by_id_by_user_and_by_service(alice: User) -> None:
    by_id, by_user, by_service = (
        run("issue_token", "--user", "alice").strip(),
        run("issue_token", "--user", "alice").strip(),
        run("issue_token", "--service", "chat").strip(),
    )
    record = find_token(by_id)
    assert record
    run("revoke_token", str(record.pk))
    assert (find_token(by_id), bool(find_token(by_user)), bool(find_token(by_service))) == (None, True, True)
    assert run("revoke_token", "--user", "alice") == "Revoked 1.\n"
    assert run("revoke_token", "--service", "chat") == "Revoked 1.\n"
    for token in (by_user, by_service):
        with pytest.raises(Unauthenticated):
            authenticate(token)


def test_revoking_an_unknown_token_says_so() -> None:
    with pytest.raises(CommandError, match="No token 4711"):
        run("revoke_token", "4711")


def test_a_call_prints_the_envelope_and_its_history_names_the_command_line(alice: User) -> None:
    envelope = json.loads(run("call", "add_task", '{"title": "Buy milk"}', "--user", "alice"))
    assert envelope["status"] == "success"
    assert Task.objects.get().title == "Buy milk"
    context = TaskEvent.objects.get().pgh_context
    assert (context["user"], context["client"], context["transport"]) == ("alice", "manage.py", "command")


def test_a_call_takes_the_arguments_that_the_transports_take(alice: User) -> None:
    arguments: dict[str, object] = {"title": "a\r\nb", "description": None, "conversation_id": 0, "_meta": {}}
    envelope = json.loads(run("call", "add_task", json.dumps(arguments), "--user", "alice"))
    assert envelope["data"]["title"] == "a\nb"
    envelope = json.loads(run("call", "list_tasks", '{"limit": 7.0, "user_id": ""}', "--user", "alice"))
    assert envelope["data"]["returned"] == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["add_task", '{"title": ""}', "--user", "alice"], "invalid_arguments"),
        (["complete_task", '{"task_id": 1}', "--user", "alice"], "task_not_found"),
        (["list_tasks", '{"user_id": "bob"}', "--user", "alice"], "forbidden"),
        (["list_tasks", "--user", "nobody"], "user_not_found"),
        (["nope", "--user", "alice"], "unknown_tool"),
    ],
)
def test_a_refused_call_prints_its_envelope_and_exits_with_1(
    alice: User, arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_error:
        call_command("call", *arguments)
    assert exit_error.value.code == 1
    assert json.loads(capsys.readouterr().out)["data"]["error"] == error


@pytest.mark.parametrize("text", ["{", "[1]", '{"title": "a", "title": "b"}', "nonsense"])
def test_arguments_that_are_not_an_object_are_refused_before_anything_runs(alice: User, text: str) -> None:
    with pytest.raises(CommandError, match=r"arguments"):
        run("call", "add_task", text, "--user", "alice")


def test_revoking_a_users_tokens_also_revokes_their_refresh_tokens(alice: User) -> None:
    run("issue_token", "--user", "alice")
    access = AccessToken.objects.get()
    AccessToken.objects.update(expires=timezone.now() - timedelta(minutes=1))
    RefreshToken.objects.create(
        user=alice, token="secret", application=access.application, access_token=access, token_family=uuid.uuid4()
    )
    assert "renewed by its client" in run("list_tokens", "--user", "alice")
    assert run("revoke_token", "--user", "alice") == "Revoked 1.\n"
    assert not RefreshToken.objects.filter(revoked=None).exists()


def test_the_former_name_of_run_still_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["manage.py", "run_local", "--help"])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 0 and "usage: manage.py run " in capsys.readouterr().out
