"""The account pages: connected apps, the password, and the mail for a forgotten password."""

import re
from typing import Any

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.auth.mails import link_in, outbox
from tests.support.auth.oauth_client import PASSWORD, Browser, OAuthClient, connected, hidden
from tests.support.caller import Caller
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

NEW_PASSWORD = "another long pass phrase"


async def test_a_user_sees_and_disconnects_connected_apps(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    tokens = await connected(browser, app)
    personal = await orm(lambda: issue_token(user_id="alice", name="phone"))
    page = await browser.get("/oauth/connections")
    assert "Test client" in page.text and "phone" in page.text and "See your tasks" in page.text
    application = re.search(r'name="application_id" value="(\d+)">\s*<button[^>]*Disconnect Test client', page.text)
    assert application
    fields = {"csrfmiddlewaretoken": hidden(page.text)["csrfmiddlewaretoken"], "application_id": application[1]}
    response = await browser.post("/oauth/connections", fields)
    assert response.status_code == 302
    assert (await Caller(http, tokens["access_token"]).post("list_tasks")).status_code == 401
    assert (await app.refresh(tokens["refresh_token"])).status_code == 400
    assert (await Caller(http, personal).post("list_tasks")).status_code == 200
    remaining_apps = (await browser.get("/oauth/connections")).text
    assert "Test client" not in remaining_apps and "Disconnected" in remaining_apps


async def test_a_user_cannot_disconnect_another_users_apps(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    tokens = await connected(browser, app)
    await orm(lambda: User.objects.create_user("bob", PASSWORD))
    bobs_browser = Browser(http)
    await bobs_browser.sign_in("bob")
    page = await bobs_browser.get("/oauth/connections")
    assert "Test client" not in page.text and "Nothing is connected" in page.text
    token = hidden(page.text, "/oauth/sign-out")
    for application_id in [str(number) for number in range(1, 9)] + ["x", "", "-1", "9" * 30]:
        assert (
            await bobs_browser.post("/oauth/connections", {**token, "application_id": application_id})
        ).status_code == 302
    assert (await Caller(http, tokens["access_token"]).post("list_tasks")).status_code == 200


@pytest.mark.parametrize("path", ["connections", "password", "time-zone"])
async def test_the_account_pages_require_a_sign_in(http: httpx2.AsyncClient, path: str) -> None:
    response = await http.get(f"/oauth/{path}")
    assert response.headers["location"] == f"/oauth/sign-in?next=/oauth/{path}"


async def test_a_user_can_switch_accounts_on_the_consent_page(browser: Browser, app: OAuthClient) -> None:
    page = await browser.get("/oauth/authorize", params=app.question())
    signed_out = await browser.submit(page, "/oauth/sign-out")
    assert signed_out.headers["location"].startswith("/oauth/authorize?")
    again = await browser.get(signed_out.headers["location"])
    assert again.headers["location"].startswith("/oauth/sign-in?next=/oauth/authorize")


async def test_a_user_changes_the_password(browser: Browser, http: httpx2.AsyncClient) -> None:
    page = await browser.get("/oauth/password")
    wrong = await browser.submit(page, old_password="x", new_password1=NEW_PASSWORD, new_password2=NEW_PASSWORD)
    assert wrong.status_code == 200
    short = await browser.submit(wrong, old_password=PASSWORD, new_password1="short", new_password2="short")
    assert "12 characters" in short.text
    response = await browser.submit(
        short, old_password=PASSWORD, new_password1=NEW_PASSWORD, new_password2=NEW_PASSWORD
    )
    assert response.status_code == 302
    assert (await Browser(http).sign_in("alice", NEW_PASSWORD)).status_code == 302


async def test_a_forgotten_password_is_reset_by_mail_once(http: httpx2.AsyncClient, person: User, orm: Orm) -> None:
    browser = Browser(http)
    page = await browser.get("/oauth/password/reset")
    for address in ("alice@example.com", "nobody@example.com"):
        response = await browser.submit(page, email=address)
        assert response.headers["location"] == "/oauth/password/reset/sent"
    mails = await outbox(orm)
    assert len(mails) == 1 and mails[0].to == ["alice@example.com"]
    link = link_in(str(mails[0].body))
    form = await browser.get((await browser.get(link)).headers["location"])
    response = await browser.submit(form, new_password1=NEW_PASSWORD, new_password2=NEW_PASSWORD)
    assert response.headers["location"] == "/oauth/sign-in"
    assert (await browser.sign_in("alice", NEW_PASSWORD)).status_code == 302
    assert "used up" in (await Browser(http).get(link)).text


async def test_without_a_mail_server_the_page_says_whom_to_ask(http: httpx2.AsyncClient, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert "Ask its operator" in (await http.get("/oauth/password/reset")).text


async def test_resets_from_one_address_are_limited(http: httpx2.AsyncClient, person: User, orm: Orm) -> None:
    people = [f"user-{n}" for n in range(11)]
    for name in people:
        await orm(lambda name=name: User.objects.create_user(name, PASSWORD, email=f"{name}@example.com"))  # type: ignore[misc]
    browser = Browser(http)
    page = await browser.get("/oauth/password/reset")
    answers = [await browser.submit(page, email=f"{name}@example.com") for name in people]
    assert answers[-1].status_code == 200 and "Too many attempts" in answers[-1].text and len(await outbox(orm)) == 10


async def test_the_old_password_can_be_tried_ten_times_an_hour(browser: Browser) -> None:
    for attempt in range(11):
        page = await browser.get("/oauth/password")
        answer = await browser.submit(
            page, old_password="wrong", new_password1=NEW_PASSWORD, new_password2=NEW_PASSWORD
        )
        assert answer.status_code == (200 if attempt < 10 else 429)
    correct = await browser.submit(page, old_password=PASSWORD, new_password1=NEW_PASSWORD, new_password2=NEW_PASSWORD)
    assert correct.status_code == 429 and int(correct.headers["retry-after"]) > 3000


async def test_operators_change_their_password_on_the_same_page(browser: Browser) -> None:
    answer = await browser.get("/admin/password_change/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/oauth/password")
