"""A token that a worker has seen is made sure of in the operation's own statement, and in none other."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from oauth2_provider.models import AccessToken

from tasks.models import Task
from tests.support.factories import TaskFactory
from todo_mcp.auth.authentication import authenticate, recall
from todo_mcp.auth.remembered_tokens import remembered_tokens
from todo_mcp.auth.tokens import issue_token, revoke_all, revoke_token
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform_for
from todo_mcp.core.envelope import Envelope
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.operations import REGISTRY
from todo_mcp.postgres.operation_run import OperationRun, Unmet
from todo_mcp.statistics.token_use import token_uses
from todo_mcp.users.models import User

KINDS = ("personal", "service")


@pytest.fixture
def own(committed: None, alice: User, bob: User) -> int:
    TaskFactory.create(user=bob)
    return int(TaskFactory.create(user=alice, title="Buy milk").pk)


def call_of(token: str, tool: str, **arguments: Any) -> tuple[Envelope, list[str]]:
    """The answer, and the verbs of the statements that it took."""
    made = Call(operation=REGISTRY[tool], arguments=arguments, transport="http", request_id="x" * 8)
    connection.ensure_connection()
    with CaptureQueriesContext(connection) as captured:
        envelope, _ = perform_for(made, token)
    return envelope, [query["sql"].split()[0] for query in captured.captured_queries if query["sql"]]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def token(own: int, kind: str) -> Iterator[str]:
    token = issue_token(user_id="alice") if kind == "personal" else issue_token(service="chat")
    yield token
    remembered_tokens.clear()


def whose(kind: str) -> dict[str, str]:
    return {} if kind == "personal" else {"user_id": "alice"}


def test_from_the_second_call_on_token_and_operation_are_one_statement(token: str, kind: str, own: int) -> None:
    user = whose(kind)
    assert call_of(token, "list_tasks", **user)[1] == ["SELECT", "SELECT"]
    envelope, statements = call_of(token, "list_tasks", **user)
    assert (statements, envelope["data"]["total"]) == (["SELECT"], 1)
    for tool, arguments, verb in (
        ("add_task", {"title": "x"}, "INSERT"),
        ("update_task", {"task_id": own, "title": "New"}, "UPDATE"),
        ("complete_task", {"task_id": own}, "UPDATE"),
        ("delete_task", {"task_id": own}, "UPDATE"),
    ):
        envelope, statements = call_of(token, tool, **user, **arguments)
        assert (envelope["status"], statements) == ("success", [verb])


@pytest.mark.parametrize(
    "end",
    [
        lambda token: revoke_token(token_id=authenticate(token).token_id or 0),
        lambda token: revoke_all(user_id="alice") or revoke_all(service="chat"),
        lambda token: AccessToken.objects.update(expires="2000-01-01T00:00:00Z"),
        lambda token: AccessToken.objects.all().delete(),
    ],
)
@pytest.mark.parametrize("tool", ["add_task", "list_tasks", "update_task"])
def test_a_token_that_has_ended_is_refused_by_the_operation_itself_and_changes_nothing(
    token: str, kind: str, own: int, end: Callable[[str], Any], tool: str
) -> None:
    given: dict[str, dict[str, Any]] = {"add_task": {"title": "x"}, "update_task": {"task_id": own, "title": "x"}}
    arguments = given.get(tool, {})
    call_of(token, "list_tasks", **whose(kind))
    end(token)
    with pytest.raises(Unauthenticated):
        call_of(token, tool, **whose(kind), **arguments)
    assert list(Task.objects.filter(user_id="alice").values_list("title", flat=True)) == ["Buy milk"]


@pytest.mark.parametrize("tool", ["add_task", "list_tasks"])
def test_a_user_who_was_deactivated_since_is_seen_by_the_operation_itself(token: str, kind: str, tool: str) -> None:
    call_of(token, "list_tasks", **whose(kind))
    User.objects.filter(pk="alice").update(is_active=False)
    arguments = {"title": "x"} if tool == "add_task" else {}
    if kind == "personal":
        with pytest.raises(Unauthenticated):
            call_of(token, tool, **arguments)
    else:
        assert call_of(token, tool, user_id="alice", **arguments)[0]["data"]["error"] == "forbidden"
    assert Task.objects.filter(user_id="alice").count() == 1


def test_scopes_that_were_taken_away_since_are_gone(token: str, kind: str) -> None:
    call_of(token, "list_tasks", **whose(kind))
    AccessToken.objects.update(scope="tasks:read")
    assert call_of(token, "add_task", title="x", **whose(kind))[0]["data"]["error"] == "forbidden"
    assert Task.objects.filter(user_id="alice").count() == 1


def test_an_answer_that_finds_nothing_is_made_sure_of_in_the_ordinary_way(token: str, kind: str) -> None:
    call_of(token, "list_tasks", **whose(kind))
    envelope, statements = call_of(token, "delete_task", task_id=999_999, **whose(kind))
    assert envelope["data"]["error"] == "task_not_found"
    assert statements == ["UPDATE", "SELECT", "UPDATE"]


def test_what_needs_another_statement_first_looks_the_token_up_before_it(token: str, kind: str) -> None:
    call_of(token, "list_tasks", **whose(kind))
    for repeated in (False, True):
        envelope, statements = call_of(token, "add_task", title="x", idempotency_key="the-only-one", **whose(kind))
        assert envelope["message"].startswith("This idempotency_key") is repeated
        assert statements[:2] == ["SELECT", "SELECT"], "the token, then the key"
    assert Task.objects.filter(user_id="alice").count() == 2


def test_a_service_that_names_another_user_is_that_user_and_nobody_or_nothing_is_refused(own: int) -> None:
    token = issue_token(service="chat")
    assert call_of(token, "list_tasks", user_id="alice")[0]["data"]["tasks"][0]["task_id"] == own
    assert call_of(token, "list_tasks", user_id="bob")[0]["data"]["tasks"][0]["task_id"] != own
    assert call_of(token, "list_tasks", user_id="nobody")[0]["data"]["error"] == "user_not_found"
    assert call_of(token, "list_tasks")[0]["data"]["error"] == "invalid_arguments"


def test_no_other_statement_passes_a_guard_that_is_not_met(own: int) -> None:
    token = issue_token(user_id="alice")
    authenticate(token)
    recalled = recall(token)
    assert recalled is not None
    with OperationRun(recalled[1]):
        with pytest.raises(Unmet):
            Task.objects.count()
        with pytest.raises(Unmet):
            authenticate(token)  # compiled, but about no user
    assert Task.objects.count() == 2


def test_a_worker_remembers_the_newest_tokens_and_no_more(own: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_tokens, "_maximum", 2)
    remembered_tokens.clear()
    tokens = [issue_token(user_id="alice") for _ in range(3)]
    for token in tokens:
        authenticate(token)
    assert [recall(token) is None for token in tokens] == [True, False, False]
    remembered_tokens.clear()


def test_a_token_that_has_ended_costs_its_former_user_no_calls_and_is_noted_as_used_no_more(
    own: int, settings: Any
) -> None:
    settings.RATE_LIMIT = 5
    old, new = issue_token(user_id="alice"), issue_token(user_id="alice")
    principal_of_old = authenticate(old)
    token_uses.take()
    revoke_token(token_id=principal_of_old.token_id or 0)
    token_uses._recorded.clear()
    for _ in range(9):
        with pytest.raises(Unauthenticated):
            call_of(old, "list_tasks")
    assert token_uses.take() == {}
    answers = [call_of(new, "list_tasks")[0]["status"] for _ in range(5)]
    assert answers == ["success"] * 4 + ["error"], "one call, that in which the end was found out, was counted"


def test_a_limit_on_calls_counts_each_call_once_and_holds_under_a_guard_too(own: int, settings: Any) -> None:
    settings.RATE_LIMIT = 4
    token = issue_token(user_id="alice")
    answers = [call_of(token, "delete_task", task_id=999_999)[0]["data"]["error"] for _ in range(6)]
    assert answers == ["task_not_found"] * 4 + ["rate_limited"] * 2
