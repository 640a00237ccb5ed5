"""Protection of operators and from operators: groups, sessions, script policy, lockout, typed confirmation."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken

from conversations.models import Conversation
from tasks import services
from tasks.models import Task, TaskEvent
from tests.support.factories import MessageFactory, TaskFactory, UserFactory
from tests.support.operators import LISTS, act, question, sign_in, staff_with
from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.statistics.token_use import write_uses
from todo_mcp.users.models import User

PASSWORD = "correct horse battery staple"

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def rows(alice: User) -> dict[str, Any]:
    """For each list, the key of one of Alice's rows."""
    task = TaskFactory.create(user=alice, title="Milk")
    services.update_task(user_id="alice", task_id=task.pk, title="Bread")
    token = find_token(issue_token(user_id="alice"))
    assert token is not None
    conversation = MessageFactory.create(conversation__user=alice).conversation_id
    return {"tasks": task.pk, "conversations": conversation, "users": "alice", "tokens": token.pk}


def member_of(group: str) -> Client:
    user = UserFactory.create(id="dave", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return sign_in(user)


def state() -> list[Any]:
    """Everything that an operator could change."""
    models = [Task, TaskEvent, Conversation, AccessToken, User, Group]
    rows = [list(model.objects.order_by("pk").values()) for model in models]
    return [*rows, list(User.groups.through.objects.values()), list(User.user_permissions.through.objects.values())]


ACTIONS = {
    "tasks": ["complete_task", "restore_task", "delete_task"],
    "conversations": ["delete_conversation"],
    "users": ["activate_user", "deactivate_user", "delete_user"],
    "tokens": ["revoke_token"],
}
FORM = {"title": "X", "initial-title": "Y", "name": "X", "id": "x", "is_staff": "on", "is_superuser": "on"}
ISSUE = {"user_id": "alice", "name": "x", "scopes": ["tasks:read"], "days": "0", "usable_password": "false"}


def test_read_only_operators_see_everything_and_change_nothing_by_url_or_action(rows: dict[str, Any]) -> None:
    client = member_of("Read-only operators")
    version = TaskEvent.objects.order_by("pgh_id").values_list("pgh_id", flat=True)[0]
    before = state()
    for name, key in rows.items():
        assert client.get(LISTS[name]).status_code == 200
        page = client.get(f"{LISTS[name]}{key}/change/")
        assert page.status_code == 200
        assert not re.search('name="(action|_save|version)"', page.content.decode()), name
        for url in ("add/", f"{key}/change/", f"{key}/delete/", f"{key}/password/"):
            for data in ({**FORM, **ISSUE}, {"post": "yes"}):
                client.post(f"{LISTS[name]}{url}", data)
        for action in ACTIONS[name]:
            act(client, name, action, key, confirmed=True, typed="alice", from_row="yes")
            client.post(f"{LISTS[name]}{key}/change/", {"action": action, "_selected_action": key, "confirmed": "yes"})
    assert client.post(f"{LISTS['tasks']}{rows['tasks']}/revert/?version={version}", {"seen": "1"}).status_code == 403
    client.post("/admin/auth/group/add/", {"name": "mine"})
    assert state() == before


def test_operators_can_do_their_work_but_cannot_create_operators(rows: dict[str, Any]) -> None:
    client = member_of("Operators")
    act(client, "tasks", "delete_task", rows["tasks"], confirmed=True)
    act(client, "tokens", "revoke_token", rows["tokens"], confirmed=True)
    act(client, "conversations", "delete_conversation", rows["conversations"], confirmed=True)
    client.post(f"{LISTS['tokens']}add/", {"user_id": "alice", "name": "new", "scopes": ["tasks:read"], "days": "30"})
    client.post(f"{LISTS['users']}add/", {"id": "erin", "usable_password": "false", "is_superuser": "on"})
    client.post(f"{LISTS['users']}alice/change/", {"name": "A", "is_staff": "on"})
    assert Task.objects.get().deleted_at and AccessToken.objects.get().application.name == "new"
    assert not Conversation.objects.exists()
    assert not User.objects.filter(pk__in=["alice", "erin"]).exclude(is_staff=False, is_superuser=False).exists()
    act(client, "users", "delete_user", "alice", confirmed=True, typed="alice")
    assert not User.objects.filter(pk="alice").exists()


def test_a_user_is_erased_only_after_the_id_is_typed(client: Client, rows: dict[str, Any]) -> None:
    confirmation = client.get(question("users", "delete_user", "alice")).content.decode()
    assert 'name="typed"' in confirmation and "Nothing was done" not in confirmation
    refusal = act(client, "users", "delete_user", "alice", confirmed=True, typed="Alice")
    again = client.get(f"{LISTS['users']}confirm/{refusal.headers['Location']}").content.decode()
    assert "Nothing was done" in again and User.objects.filter(pk="alice").exists()
    UserFactory.create(id="bob")
    act(client, "users", "delete_user", "alice", "bob")
    assert User.objects.filter(pk__in=["alice", "bob"]).count() == 2
    act(client, "users", "delete_user", "alice", "bob", confirmed=True, typed="alice")
    assert User.objects.filter(pk="bob").exists()
    assert not User.objects.filter(pk="alice").exists() and not TaskEvent.objects.exists()


def test_an_export_contains_everything_and_is_logged(client: Client, rows: dict[str, Any]) -> None:
    url = f"{LISTS['users']}alice/export/"
    assert client.get(url).status_code == 405
    response = client.post(url)
    export = json.loads(response.content)
    assert export["user"]["id"] == "alice" and export["conversations"] and export["tasks"] and export["tokens"]
    assert response.headers["Content-Disposition"] == 'attachment; filename="alice.json"'
    assert "no-store" in response.headers["Cache-Control"]
    assert LogEntry.objects.get().change_message == "Exported"
    assert client.post(f"{LISTS['users']}nobody/export/").status_code == 403


def test_staff_who_cannot_view_all_data_of_a_user_cannot_export_it(rows: dict[str, Any]) -> None:
    client = staff_with("view_user", "change_user", "view_task", "view_conversation")
    assert client.post(f"{LISTS['users']}alice/export/").status_code == 403
    assert "/export/" not in client.get(f"{LISTS['users']}alice/change/").content.decode()


def test_a_users_page_shows_tokens_and_revoking_one_returns_to_the_page(client: Client, rows: dict[str, Any]) -> None:
    page = f"{LISTS['users']}alice/change/"
    assert f'name="_selected_action" value="{rows["tokens"]}"' in client.get(page).content.decode()
    asked = act(client, "tokens", "revoke_token", rows["tokens"], next=page).headers["Location"]
    response = client.post(asked)
    assert response.headers["Location"] == page and not AccessToken.objects.exists()


def test_an_action_never_redirects_to_another_site(client: Client, rows: dict[str, Any]) -> None:
    for next_url in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        response = act(client, "tasks", "complete_task", rows["tasks"], next=next_url)
        assert response.headers["Location"].startswith(LISTS["tasks"])


def test_three_pages_show_when_a_token_was_last_used(client: Client, rows: dict[str, Any]) -> None:
    urls = (LISTS["tokens"], f"{LISTS['tokens']}{rows['tokens']}/change/", f"{LISTS['users']}alice/change/")
    last_use = timezone.now() - timedelta(days=400)
    assert not any(f"{last_use:%Y-%m-%d %H:%M}" in client.get(url).content.decode() for url in urls)
    write_uses({rows["tokens"]: last_use})
    assert all(f"{last_use:%Y-%m-%d %H:%M}" in client.get(url).content.decode() for url in urls)


def test_signing_in_creates_a_new_session_that_ends_after_twelve_hours(operator: User) -> None:
    client = Client()
    client.cookies["sessionid"] = planted_key = "a" * 32
    response = client.post("/admin/login/", {"username": "operator", "password": PASSWORD})
    assert response.headers["Location"] == "/admin/"
    session = Session.objects.get()
    assert session.session_key != planted_key and client.cookies["sessionid"].value == session.session_key
    assert abs(session.expire_date - timezone.now() - timedelta(hours=12)) < timedelta(minutes=1)
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    client.post("/admin/logout/")
    assert not Session.objects.exists()


@pytest.mark.parametrize("environment", ["production", "development"])
def test_cookies_of_an_https_address_are_sent_only_over_https_and_only_to_this_host(environment: str) -> None:
    names = ("SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_NAME", "CSRF_COOKIE_SECURE", "DEBUG")
    variables = {
        "ENVIRONMENT": environment,
        "PUBLIC_URL": "https://todo.example.com",
        "DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "SECRET_KEY": "0123456789" * 6,
    }
    code = f"from todo_mcp import settings; print([getattr(settings, name) for name in {names}])"
    result = subprocess.run([sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True)
    assert result.stdout.strip() == "['__Host-sessionid', True, '__Host-csrftoken', True, False]", result.stderr


def test_a_deactivated_operator_and_one_with_a_new_password_are_signed_out(operator: User) -> None:
    client = sign_in(operator)
    operator.set_password("another long pass phrase")
    operator.save()
    assert client.get("/admin/").status_code == 302
    client = sign_in(operator)
    User.objects.filter(pk="operator").update(is_active=False)
    assert client.get("/admin/").status_code == 302


def test_five_wrong_passwords_lock_sign_in_and_show_a_readable_page(operator: User) -> None:
    client = Client()
    for _ in range(5):
        response = client.post("/admin/login/", {"username": "operator", "password": "wrong"})
    assert response.status_code == 429 and response.headers["Retry-After"] == "900"
    assert "Try again in 15 minutes" in response.content.decode()
    assert client.post("/admin/login/", {"username": "operator", "password": PASSWORD}).status_code == 429
    assert not Session.objects.exists()


def test_no_page_allows_inline_scripts(client: Client, rows: dict[str, Any]) -> None:
    urls = ["/admin/", "/admin/login/", "/api/docs", *LISTS.values()]
    urls += [f"{LISTS[name]}{key}/change/" for name, key in rows.items()]
    for url in urls:
        response = client.get(url, follow=True)
        policy = dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))
        assert "'unsafe-inline'" not in policy["script-src"] and policy["object-src"] == "'none'", url
        assert ("'unsafe-eval'" in policy["script-src"]) is url.startswith("/admin/"), url
        scripts = re.findall(r"<script\b([^>]*)>", response.content.decode())
        assert all("src=" in attributes or "application/json" in attributes for attributes in scripts), url
        assert not re.search(r"<[^>]+\son\w+=", response.content.decode()), url
