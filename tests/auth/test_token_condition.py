"""The statement of an operation checks a remembered token, and no other statement does."""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from oauth2_provider.models import AccessToken

from tasks.models import Task, TaskEvent
from tasks.state import TaskState
from tests.support.factories import TaskFactory
from tests.support.tool_calls import everything_of
from todo_mcp.auth.authentication import authenticate, recall_principal
from todo_mcp.auth.remembered_tokens import remembered_tokens
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import issue_token, revoke_all, revoke_token
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform_for
from todo_mcp.core.envelope import Envelope, to_json
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.operations import REGISTRY
from todo_mcp.postgres.operation_run import OperationRun, Unmet
from todo_mcp.postgres.statements import Statement
from todo_mcp.statistics.token_use import token_uses
from todo_mcp.users.models import User

KINDS = ("personal", "service")


@pytest.fixture
def alices_task_id(committed: None, alice: User, bob: User) -> int:
    TaskFactory.create(user=bob)
    return int(TaskFactory.create(user=alice, title="Buy milk").pk)


def call_of(token: str, tool: str, **arguments: Any) -> tuple[Envelope, list[str]]:
    """Return the answer, and the verb of each statement of the call."""
    call = Call(operation=REGISTRY[tool], arguments=arguments, transport="http", request_id="x" * 8)
    connection.ensure_connection()
    with CaptureQueriesContext(connection) as captured:
        envelope, _ = perform_for(call, token)
    return envelope, [query["sql"].split()[0] for query in captured.captured_queries if query["sql"]]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def token(alices_task_id: int, kind: str) -> Iterator[str]:
    token = issue_token(user_id="alice") if kind == "personal" else issue_token(service="chat")
    yield token
    remembered_tokens.clear()


def user_argument(kind: str) -> dict[str, str]:
    return {} if kind == "personal" else {"user_id": "alice"}


def test_from_the_second_call_on_one_statement_checks_the_token_and_does_the_operation(
    token: str, kind: str, alices_task_id: int
) -> None:
    user = user_argument(kind)
    assert call_of(token, "list_tasks", **user)[1] == ["SELECT", "SELECT"]
    envelope, statements = call_of(token, "list_tasks", **user)
    assert (statements, envelope["data"]["total"]) == (["SELECT"], 1)
    for tool, arguments, verb in (
        ("add_task", {"title": "x"}, "INSERT"),
        ("update_task", {"task_id": alices_task_id, "title": "New"}, "UPDATE"),
        ("complete_task", {"task_id": alices_task_id}, "UPDATE"),
        ("delete_task", {"task_id": alices_task_id}, "UPDATE"),
    ):
        envelope, statements = call_of(token, tool, **user, **arguments)
        assert (envelope["status"], statements) == ("success", [verb])


@pytest.mark.parametrize(
    "end",
    [
        lambda token: revoke_token(token_id=authenticate(token).token_id or 0, cause=Cause(By.COMMAND)),
        lambda token: (
            revoke_all(user_id="alice", cause=Cause(By.COMMAND)) or revoke_all(service="chat", cause=Cause(By.COMMAND))
        ),
        lambda token: AccessToken.objects.update(expires="2000-01-01T00:00:00Z"),
        lambda token: AccessToken.objects.all().delete(),
    ],
)
@pytest.mark.parametrize("tool", ["add_task", "list_tasks", "update_task"])
def test_the_statement_of_an_operation_refuses_an_ended_token_and_changes_nothing(
    token: str, kind: str, alices_task_id: int, end: Callable[[str], Any], tool: str
) -> None:
    arguments_of_tools: dict[str, dict[str, Any]] = {
        "add_task": {"title": "x"},
        "update_task": {"task_id": alices_task_id, "title": "x"},
    }
    arguments = arguments_of_tools.get(tool, {})
    call_of(token, "list_tasks", **user_argument(kind))
    end(token)
    with pytest.raises(Unauthenticated):
        call_of(token, tool, **user_argument(kind), **arguments)
    assert list(Task.objects.filter(user_id="alice").values_list("title", flat=True)) == ["Buy milk"]


@pytest.mark.parametrize("tool", ["add_task", "list_tasks"])
def test_the_statement_of_an_operation_refuses_a_user_who_was_deactivated_since(
    token: str, kind: str, tool: str
) -> None:
    call_of(token, "list_tasks", **user_argument(kind))
    User.objects.filter(pk="alice").update(is_active=False)
    arguments = {"title": "x"} if tool == "add_task" else {}
    if kind == "personal":
        with pytest.raises(Unauthenticated):
            call_of(token, tool, **arguments)
    else:
        assert call_of(token, tool, user_id="alice", **arguments)[0]["data"]["error"] == "forbidden"
    assert Task.objects.filter(user_id="alice").count() == 1


def test_scopes_that_were_removed_since_are_not_allowed_any_more(token: str, kind: str) -> None:
    call_of(token, "list_tasks", **user_argument(kind))
    AccessToken.objects.update(scope="tasks:read")
    assert call_of(token, "add_task", title="x", **user_argument(kind))[0]["data"]["error"] == "forbidden"
    assert Task.objects.filter(user_id="alice").count() == 1


def test_if_a_statement_changes_no_row_the_token_is_looked_up_and_the_operation_repeated(token: str, kind: str) -> None:
    call_of(token, "list_tasks", **user_argument(kind))
    envelope, statements = call_of(token, "delete_task", task_id=999_999, **user_argument(kind))
    assert envelope["data"]["error"] == "task_not_found"
    assert statements == ["UPDATE", "SELECT", "UPDATE"]


def test_an_operation_that_needs_another_statement_first_looks_up_the_token_before_it(token: str, kind: str) -> None:
    call_of(token, "list_tasks", **user_argument(kind))
    for repeated in (False, True):
        envelope, statements = call_of(
            token, "add_task", title="x", idempotency_key="the-only-one", **user_argument(kind)
        )
        assert envelope["message"].startswith("This idempotency_key") is repeated
        assert statements[:2] == ["SELECT", "SELECT"], "first the token, then the idempotency key"
    assert Task.objects.filter(user_id="alice").count() == 2


def test_a_service_acts_for_the_user_it_names_and_must_name_one_that_exists(alices_task_id: int) -> None:
    token = issue_token(service="chat")
    assert call_of(token, "list_tasks", user_id="alice")[0]["data"]["tasks"][0]["task_id"] == alices_task_id
    assert call_of(token, "list_tasks", user_id="bob")[0]["data"]["tasks"][0]["task_id"] != alices_task_id
    assert call_of(token, "list_tasks", user_id="nobody")[0]["data"]["error"] == "user_not_found"
    assert call_of(token, "list_tasks")[0]["data"]["error"] == "invalid_arguments"


def test_no_other_statement_runs_under_an_unmet_token_condition(alices_task_id: int) -> None:
    token = issue_token(user_id="alice")
    authenticate(token)
    remembered = recall_principal(token)
    assert remembered is not None
    with OperationRun(remembered[1]):
        with pytest.raises(Unmet):
            Task.objects.count()
        with pytest.raises(Unmet):
            authenticate(token)  # a compiled statement, but not about one user
    assert Task.objects.count() == 2


def test_a_worker_remembers_only_the_newest_tokens(alices_task_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_tokens, "_maximum", 2)
    remembered_tokens.clear()
    tokens = [issue_token(user_id="alice") for _ in range(3)]
    for token in tokens:
        authenticate(token)
    assert [recall_principal(token) is None for token in tokens] == [True, False, False]
    remembered_tokens.clear()


def test_an_ended_token_uses_up_at_most_one_call_of_its_user_and_records_no_use(
    alices_task_id: int, settings: Any
) -> None:
    settings.RATE_LIMIT = 5
    ended_token, valid_token = issue_token(user_id="alice"), issue_token(user_id="alice")
    principal = authenticate(ended_token)
    token_uses.take()
    revoke_token(token_id=principal.token_id or 0, cause=Cause(By.COMMAND))
    token_uses._recorded.clear()
    for _ in range(9):
        with pytest.raises(Unauthenticated):
            call_of(ended_token, "list_tasks")
    assert token_uses.take() == {}
    answers = [call_of(valid_token, "list_tasks")[0]["status"] for _ in range(5)]
    assert answers == ["success"] * 4 + ["error"], "only the call that detected the end is counted"


def test_the_limit_on_calls_counts_each_call_once_under_a_token_condition_too(
    alices_task_id: int, settings: Any
) -> None:
    settings.RATE_LIMIT = 4
    token = issue_token(user_id="alice")
    answers = [call_of(token, "delete_task", task_id=999_999)[0]["data"]["error"] for _ in range(6)]
    assert answers == ["task_not_found"] * 4 + ["rate_limited"] * 2


VALUES: dict[str, Any] = {
    "user_id": "alice",
    "limit": 10,
    "now": timezone.now(),
    "title": "x",
    "description": "",
    "conversation_id": None,
    "message_id": None,
    "last_at": timezone.now() + timedelta(days=1),
    "last_id": 1,
    "version": 1,
    "since": timezone.now() - timedelta(days=1),
    "call": "1.1",
    "time_zone": "Europe/Berlin",
    "terms": ["milk"],
    "state": "all",
    "title_only": True,
    "values": '{"title": "y"}',
    "expected": "{}",
    "version_limit": 1000,
}


def compiled_statements() -> Iterator[Statement]:
    """Every statement in a module of the project."""
    for module in [module for name, module in sys.modules.items() if name.startswith(("todo_mcp.", "tasks.", "conv"))]:
        for value in vars(module).values():
            yield from (one for one in (value.values() if isinstance(value, dict) else [value]) if is_statement(one))


def is_statement(value: object) -> bool:
    return isinstance(value, Statement)


def test_no_compiled_statement_gives_a_row_or_changes_one_under_a_false_condition(alices_task_id: int) -> None:
    """Otherwise the condition would count as met."""
    statements = {*compiled_statements()}
    assert len(statements) >= 11, "the five operations, their variants and the lookup of a token"
    rows = to_json([asdict(TaskState("x", id=alices_task_id, created_at=VALUES["now"], updated_at=VALUES["now"]))])
    ids = {"task_id": alices_task_id, "ids": [alices_task_id], "series": [alices_task_id]}
    event_id = TaskEvent.objects.values_list("pgh_id", flat=True).get(pgh_obj_id=alices_task_id)
    values = {**VALUES, **ids, "event_id": event_id, "rows": rows.decode()}
    token = issue_token(user_id="alice")
    authenticate(token)
    recalled = recall_principal(token)
    assert recalled is not None
    revoke_token(token_id=recalled[0].token_id or 0, cause=Cause(By.COMMAND))
    before = everything_of("alice")
    for statement in statements:
        with suppress(Unmet), OperationRun(recalled[1]):
            assert statement(**values) == []
        assert not recalled[1].is_met
    assert everything_of("alice") == before
