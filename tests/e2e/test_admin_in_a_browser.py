"""Operators' work in the admin, in a real Chromium on a real server. The browser must report no errors."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.sign_in import add_operators, sign_in
from tests.support.server_process import Database, ServerProcess


@dataclass(frozen=True)
class Customer:
    """A user with a token, a conversation with an agent, and a task from it."""

    id: str
    token: str
    conversation: int
    task: int


@pytest.fixture(scope="module")
def site(database: Database, server: ServerProcess) -> str:
    add_operators(database)
    return server.url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A page of a new browser, signed in through the form. At the end it must have reported no errors."""
    context = browser.new_context(base_url=site, viewport={"width": 1440, "height": 900})
    errors: list[str] = []
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    page = sign_in(context)
    expect(page).to_have_title(re.compile("Overview"))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def customer(site: str, database: Database) -> Customer:
    user_id, token = database.new_user()

    def post(path: str, body: object) -> Any:
        answer = httpx2.post(f"{site}{path}", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        assert answer.is_success, answer.text
        return answer.json()

    chat = post("/api/conversations", {})
    turn = [
        {"role": "user", "content": f"Remember the rhubarb of {user_id}, please."},
        {"role": "assistant", "content": "Noted <b>as a task</b>."},
    ]
    messages = post(f"/api/conversations/{chat['id']}/messages", turn)
    task = {"title": "Rhubarb", "conversation_id": chat["id"], "message_id": messages[0]["id"]}
    task_id = post("/api/tools/add_task", task)["data"]["task_id"]
    post("/api/tools/update_task", {"task_id": task_id, "title": "Rubber band"})
    return Customer(user_id, token, chat["id"], task_id)


def test_a_conversation_is_found_by_a_word_in_it_and_leads_to_its_task_and_back(page: Page, customer: Customer) -> None:
    page.get_by_role("link", name="Conversations").first.click()
    search = page.locator("#searchbar")
    search.fill(f'rhubarb "{customer.id}"')
    search.press("Enter")
    expect(page.locator("mark", has_text="rhubarb")).to_be_visible()
    page.locator("mark", has_text="rhubarb").click()
    expect(page.get_by_text(f"Remember the rhubarb of {customer.id}")).to_be_in_viewport()
    expect(page.get_by_text("Noted <b>as a task</b>.")).to_be_visible()
    page.get_by_role("link", name="Rubber band").first.click()
    expect(page.locator("#id_title")).to_have_value("Rubber band")
    page.get_by_role("link", name=f"A message of conversation {customer.conversation}").click()
    expect(page.get_by_text("Remember the rhubarb")).to_be_in_viewport()


def test_a_task_is_reverted_after_a_question(page: Page, customer: Customer) -> None:
    page.goto(f"/admin/tasks/task/{customer.task}/change/")
    page.get_by_role("link", name="Revert to this version…").click()
    expect(page.locator("ins")).to_have_text("Rhubarb")
    page.get_by_role("button", name="Revert", exact=True).click()
    expect(page.get_by_text(f"Reverted task {customer.task}.")).to_be_visible()
    expect(page.locator("#id_title")).to_have_value("Rhubarb")
    expect(page.get_by_text("revert_task")).to_be_visible()


def test_a_token_is_issued_works_and_is_revoked(page: Page, customer: Customer, site: str) -> None:
    page.goto(f"/admin/users/user/{customer.id}/change/")
    page.get_by_role("link", name="Issue a token…").click()
    page.locator("#id_name").fill("telephone")
    page.get_by_role("button", name="Save", exact=True).click()
    token = page.locator("#token-value").inner_text()

    def status() -> int:
        return httpx2.post(
            f"{site}/api/tools/list_tasks", json={}, headers={"Authorization": f"Bearer {token}"}, timeout=60
        ).status_code

    assert status() == 200
    page.goto(f"/admin/users/user/{customer.id}/change/")
    page.get_by_role("row", name="telephone").get_by_role("button", name="Revoke…").click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_text("Revoked 1 token.")).to_be_visible()
    expect(page.get_by_role("row", name="telephone")).to_have_count(0)
    assert status() == 401


def test_a_user_is_erased_only_after_the_id_is_typed(page: Page, customer: Customer) -> None:
    page.goto(f"/admin/users/user/{customer.id}/change/")
    page.get_by_role("button", name="Erase…").click()
    page.get_by_label("to confirm").fill("somebody else")
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was done")
    page.get_by_label("to confirm").fill(customer.id)
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_text("Erased 1 user.")).to_be_visible()


def test_every_main_page_works_under_the_script_policy(page: Page, customer: Customer) -> None:
    for path in ("/admin/", "/admin/tasks/task/", "/admin/oauth2_provider/accesstoken/", "/api/docs"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
    expect(page.locator("#swagger-ui .opblock").first).to_be_visible()
    page.goto("/admin/conversations/conversation/")
    page.locator(".todo-filters summary").click()
    expect(page.get_by_role("group", name="Last activity").get_by_label("From")).to_be_visible()
