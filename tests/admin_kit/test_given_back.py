"""An expired form, an expired session or a lost permission gives back what was typed, and saves nothing by itself."""

import html
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from oauth2_provider.models import AccessToken

from tasks.models import Task
from tests.support.factories import TaskFactory, UserFactory
from tests.support.operators import LISTS, sign_in, staff_with
from todo_mcp.admin_kit.typed_text import CARRIED_MAX
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"
EDIT = {"title": "Mine <b>", "initial-title": "Milk", "description": "\nTwo\r\nlines", "initial-description": ""}
TYPED = [("Title", "Mine <b>"), ("Description", "\nTwo\r\nlines")]


@pytest.fixture
def task(alice: User) -> Task:
    return TaskFactory.create(user=alice, title="Milk", description="")


def url(task: Task) -> str:
    return f"{LISTS['tasks']}{task.pk}/change/"


def strict(user: User) -> Client:
    """A client that must send the token of the form."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def hidden(page: Any) -> dict[str, str]:
    """The fields that the button of the page sends."""
    text = page.content.decode()
    found = dict(re.findall(r'<textarea name="(.*?)" hidden>\n(.*?)</textarea>', text, re.DOTALL))
    found |= dict(re.findall(r'name="(csrfmiddlewaretoken)" value="(.*?)"', text))
    return {name: html.unescape(value) for name, value in found.items()}


def test_an_expired_form_comes_back_filled_and_is_saved_only_by_the_operator(operator: User, task: Task) -> None:
    client = strict(operator)
    expired = client.post(url(task), EDIT | {"csrfmiddlewaretoken": "x" * 64})
    assert expired.status_code == 403 and "This page has expired" in expired.content.decode()
    assert expired.context["typed"] == TYPED and "no-store" in expired.headers["Cache-Control"]
    form = client.post(url(task), hidden(expired))
    assert form.status_code == 200 and "Nothing is saved yet" in form.content.decode()
    assert form.context["adminform"].form["title"].value() == "Mine <b>"
    assert Task.objects.get().title == "Milk"
    again = {name: form.context["adminform"].form.data[name] for name in EDIT} | {
        "csrfmiddlewaretoken": hidden(form)["csrfmiddlewaretoken"]
    }
    assert client.post(url(task), again).status_code == 302 and Task.objects.get().title == "Mine <b>"


def test_an_expired_session_gives_the_text_back_after_the_sign_in(operator: User, task: Task) -> None:
    client = Client()
    asked = client.post(url(task), EDIT)
    assert asked.status_code == 403 and asked.context["typed"] == TYPED
    target = f"/admin/login/?next={url(task).replace('/', '%2F')}"
    assert f'action="{target}"' in asked.content.decode()
    carried = {"username": "operator", "carried": asked.context["carried"]}
    wrong = client.post(target, carried | {"password": "wrong"})
    assert html.escape(carried["carried"]) in wrong.content.decode()
    given_back = client.post(target, carried | {"password": PASSWORD})
    assert given_back.status_code == 200 and given_back.context["typed"] == TYPED
    assert client.post(url(task), hidden(given_back)).context["adminform"].form["title"].value() == "Mine <b>"
    assert Task.objects.get().title == "Milk" and not LogEntry.objects.exists()


def test_a_lost_permission_says_so_and_shows_the_text(task: Task) -> None:
    refused = staff_with("view_task").post(url(task), EDIT)
    assert refused.status_code == 403 and refused.context["typed"] == TYPED
    assert "You may not do this" in refused.content.decode() and not refused.context["fields"]


def test_passwords_and_tokens_are_never_given_back(operator: User, alice: User) -> None:
    secret = {"password1": "pass phrase", "id": "erin", "name": "todo_abcdefghij", "email": "eyJhbGciOi.x.y"}
    expired = strict(operator).post(f"{LISTS['users']}add/", secret)
    assert expired.context["typed"] == [("Id", "erin")]
    assert not re.search("pass phrase|todo_abc|eyJhb", expired.content.decode())


def test_what_is_too_long_to_be_carried_is_shown_to_be_copied(operator: User, task: Task) -> None:
    long = {"title": "x" * CARRIED_MAX}
    expired, signed_out = strict(operator).post(url(task), long), Client().post(url(task), long)
    assert expired.context["typed"] == signed_out.context["typed"] == [("Title", long["title"])]
    assert not expired.context["fields"] and not signed_out.context["carried"]
    assert all("Copy what you" in page.content.decode() for page in (expired, signed_out))


@pytest.mark.parametrize("visitor", [Client, lambda: strict(User.objects.create_superuser("root", "x"))])
def test_the_pages_have_the_policy_of_the_admin_and_are_never_cached(task: Task, visitor: Any) -> None:
    headers = visitor().post(url(task), EDIT).headers
    assert "form-action" in headers["Content-Security-Policy"] and headers["X-Frame-Options"] == "DENY"
    assert "no-store" in headers["Cache-Control"]


def test_a_form_of_another_site_is_not_given_back(operator: User, task: Task) -> None:
    refused = strict(operator).post(url(task), EDIT, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403 and refused.context["typed"] == [] and "Mine" not in refused.content.decode()


def test_no_form_that_comes_back_does_anything(operator: User, alice: User) -> None:
    client = sign_in(operator)
    token = {"user_id": "alice", "name": "phone", "scopes": "tasks:read", "days": "30", "_given_back": "yes"}
    assert client.post(f"{LISTS['tokens']}add/", token).status_code == 200
    assert client.post(f"{LISTS['users']}add/", {"id": "erin", "_given_back": "yes"}).status_code == 200
    assert client.post("/admin/auth/group/add/", {"name": "mine", "_given_back": "yes"}).status_code == 200
    assert not AccessToken.objects.exists() and not User.objects.filter(pk="erin").exists()


@pytest.mark.parametrize("carried", ["x", "{}", "[[1]]", '[["a"]]', "[" * 10_000, "null", '[["_given_back", "yes"]]'])
def test_what_no_page_of_ours_carried_does_no_harm(operator: User, carried: str) -> None:
    form = {"username": "operator", "password": PASSWORD, "carried": carried}
    assert Client().post("/admin/login/?next=/admin/", form).status_code in (200, 302)


def test_an_expired_page_of_an_account_says_what_to_do(alice: User) -> None:
    page = Client(enforce_csrf_checks=True).post("/oauth/sign-in", {"username": "alice", "password": "secret"})
    assert page.status_code == 403 and "This page has expired" in page.content.decode()
    assert 'href="/oauth/sign-in"' in page.content.decode() and "secret" not in page.content.decode()


@pytest.mark.parametrize("path", ["login/", "logout/", "tasks/task/1/change/"])
def test_a_visitor_without_a_session_and_with_an_expired_form_can_go_on(path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    typed = client.post(f"/admin/{path}", {"title": "Mine"}).content.decode()
    assert ("Mine" in typed) == (path != "login/")
    assert "This page has expired" in client.post(f"/admin/{path}", {"action": "x"}).content.decode()


def test_a_visitor_who_typed_nothing_is_only_asked_to_sign_in() -> None:
    UserFactory.create(id="alice")
    assert Client().post(f"{LISTS['users']}alice/export/").status_code == 302
