"""Issuing a token: the form, and the page that shows the token once."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from oauth2_provider.models import AccessToken

from tests.support.operators import LISTS, sign_in, staff_with
from todo_mcp.auth.tokens import find_token
from todo_mcp.operators.tokens import issuing
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db

FORM = {"user_id": "alice", "name": "phone", "scopes": ["tasks:read"], "days": "0"}
SERVICE = {"user_id": "", "name": "chat", "scopes": ["tasks:write", "tasks:act_as"], "days": "30"}


def issued(client: Client, **changes: Any) -> str:
    """The address to which the form's answer redirects."""
    response = client.post(f"{LISTS['tokens']}add/", FORM | changes)
    assert response.status_code == 302, response.context["errors"]
    return str(response["Location"])


def shown(page: str) -> str | None:
    found = re.search(r'id="token-value"[^>]*>(todo_[\w-]{20,})<', page)
    return found[1] if found else None


def test_an_issued_token_is_shown_once_after_a_redirect_and_works(client: Client, alice: User) -> None:
    url = issued(client)
    response = client.get(url)
    value = shown(response.content.decode())
    assert value and "no-store" in response.headers["Cache-Control"]
    record = find_token(value)
    assert record and record.user_id == "alice" and record.scope == "tasks:read" and str(record.pk) in url
    for address in (url, LISTS["tokens"], f"{LISTS['tokens']}{record.pk}/change/"):
        page = client.get(address).content.decode()
        assert value not in page and record.token_checksum not in page
    assert "cannot be shown again" in client.get(url).content.decode()
    assert AccessToken.objects.count() == 1


def test_the_page_links_to_the_user_and_the_token_and_has_lines_for_clients(client: Client, alice: User) -> None:
    page = client.get(issued(client)).content.decode()
    record = AccessToken.objects.get()
    for text in (
        f"{LISTS['users']}alice/change/",
        f"{LISTS['tokens']}{record.pk}/change/",
        "claude mcp add --transport http todo http",
        "/api/tools/list_tasks",
        "mcpServers",
        "claude_desktop_config.json",
        "todo_mcp/copy.",
        "You cannot see it again after leaving this page",
    ):
        assert text in page


def test_a_service_token_gets_lines_that_name_a_user(client: Client) -> None:
    page = client.get(issued(client, **SERVICE)).content.decode()
    assert "USER_ID" in page and "/api/tools/add_task" in page and "any user" in page


def test_until_it_is_shown_the_database_holds_only_a_sealed_token(client: Client, alice: User) -> None:
    url = issued(client)
    [sealed] = [session.get_decoded()[issuing.SESSION_KEY]["sealed"] for session in Session.objects.all()]
    value = shown(client.get(url).content.decode())
    assert value and value not in sealed and "todo_" not in sealed
    assert all(issuing.SESSION_KEY not in session.get_decoded() for session in Session.objects.all())


def test_another_operator_does_not_see_the_token(client: Client, alice: User) -> None:
    url = issued(client)
    other = sign_in(User.objects.create_superuser("other"))
    assert "cannot be shown again" in other.get(url).content.decode()
    assert shown(client.get(url).content.decode())


def test_a_token_that_nobody_looked_at_in_time_is_not_shown(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = issued(client)
    monkeypatch.setattr(issuing, "SECONDS", -1)
    assert "cannot be shown again" in client.get(url).content.decode()


def test_only_who_may_issue_tokens_sees_the_page(client: Client, alice: User) -> None:
    url = issued(client)
    assert staff_with("view_accesstoken").get(url).status_code == 403
    assert Client().get(url).status_code == 302
    assert client.get(f"{LISTS['tokens']}999999/issued/").status_code == 403


def test_the_log_names_the_user_of_an_issued_token(client: Client, alice: User) -> None:
    issued(client)
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.subject.user_id) == (f"token {AccessToken.objects.get().pk}", "alice")
    issued(client, **SERVICE)
    assert not hasattr(LogEntry.objects.latest("pk"), "subject")


def test_no_token_is_issued_for_a_deactivated_user(client: Client, alice: User) -> None:
    User.objects.filter(pk="alice").update(is_active=False)
    page = client.post(f"{LISTS['tokens']}add/", FORM).content.decode()
    assert "This user is deactivated" in page and not AccessToken.objects.exists()


@pytest.mark.parametrize(
    "form",
    [
        {"user_id": "nobody", "name": "x", "scopes": ["tasks:read"]},
        {"user_id": "alice", "name": "x", "scopes": ["tasks:act_as"]},
        {"user_id": "", "name": "", "scopes": ["tasks:read"]},
        {"user_id": "alice", "name": "x", "scopes": []},
    ],
)
def test_no_token_is_issued_for_an_unknown_user_or_without_allowed_scopes(
    client: Client, alice: User, form: dict[str, Any]
) -> None:
    assert client.post(f"{LISTS['tokens']}add/", {**form, "days": "30"}).status_code == 200
    assert not AccessToken.objects.exists()
