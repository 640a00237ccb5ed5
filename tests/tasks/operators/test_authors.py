"""Who changed a task, in words: a service never appears as the person for whom it acts."""

from typing import Any

import pytest
from oauth2_provider.models import AccessToken

from tasks.history import history
from tasks.models import Task
from tasks.operators.authors import author_in_words, tokens_of_services
from tests.support.factories import TaskFactory
from tests.support.operators import sign_in
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import issue_token, revoke_all
from todo_mcp.dates.zones import find_zone
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db
CALL: dict[str, Any] = {"user": "bob", "token": 1, "token_name": "chat", "transport": "mcp", "client": "admin"}


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (CALL | {"service": True}, "service <bdi>chat</bdi>, for <bdi>bob</bdi>"),
        (CALL | {"service": False}, "<bdi>bob</bdi>"),
        ({"user": "dave", "client": "admin", "tool": "edit"}, "operator <bdi>dave</bdi>"),
        ({"user": None, "tool": "purge"}, "an unknown user"),
        (None, "unknown; changed outside the application"),
        (CALL | {"service": True, "token_name": "<b>"}, "service <bdi>&lt;b&gt;</bdi>, for <bdi>bob</bdi>"),
    ],
)
def test_an_author_is_a_person_a_service_for_a_person_or_an_operator(context: Any, words: str) -> None:
    assert author_in_words(context) == words


def test_an_older_entry_is_a_services_if_its_token_is_or_was(bob: User) -> None:
    issue_token(user_id="bob"), issue_token(service="chat")
    own, services = AccessToken.objects.order_by("pk").values_list("pk", flat=True)
    older = [CALL | {"token": own}, CALL | {"token": services}, None]
    assert tokens_of_services(older) == {services}
    assert "service" in author_in_words(older[1], tokens_of_services(older))
    revoke_all(service="chat", cause=Cause(By.COMMAND))
    assert tokens_of_services(older) == {services}


def test_a_newer_entry_needs_no_query_and_survives_the_revocation(bob: User, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert tokens_of_services([CALL | {"service": True}, CALL | {"service": False}, None]) == set()


def test_the_history_of_a_task_names_the_service(bob: User, operator: User) -> None:
    task = TaskFactory.create(user=bob)
    with history_context(**CALL, service=True, tool="update_task"):
        Task.objects.filter(pk=task.pk).update(title="Renamed")
    events, _ = history(user_id="bob", task_id=task.pk, zone=find_zone("UTC"))
    assert events[0]["author"] == "service <bdi>chat</bdi>, for <bdi>bob</bdi>"
    page = sign_in(operator).get(f"/admin/tasks/task/{task.pk}/change/").content.decode()
    assert "service <bdi>chat</bdi>, for <bdi>bob</bdi>" in page
