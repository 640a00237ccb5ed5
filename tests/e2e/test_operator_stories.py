"""Seven questions of an operator, each answered with at most six clicks from the overview, in a real Chromium.

A click is a press of the mouse; typing and Enter are none. The last confirmation is one.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.sign_in import OPERATOR, add_operators, sign_in
from tests.support.processes import eventually
from tests.support.server_process import Database, ServerProcess

CLICKS_MAX = 6
_COUNT_CLICKS = """
addEventListener("mousedown", () => {
    sessionStorage.setItem("clicks", Number(sessionStorage.getItem("clicks")) + 1);
}, true);
"""


@pytest.fixture(scope="module")
def site(database: Database, server: ServerProcess) -> str:
    add_operators(database)
    return server.url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """The overview, signed in. At the end, the operator must have clicked at most six times, and met no error."""
    context = browser.new_context(base_url=site, viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = sign_in(context, OPERATOR)
    page.add_init_script(_COUNT_CLICKS)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("/admin/")
    yield page
    clicks = page.evaluate("Number(sessionStorage.getItem('clicks'))")
    context.close()
    assert 1 <= clicks <= CLICKS_MAX
    assert errors == []


class Person:
    """A user whose assistant calls the tools."""

    def __init__(self, site: str, database: Database, client: str = "Claude") -> None:
        self.id, self.token = database.new_user()
        self._site, self._client = site, client

    def post(self, path: str, body: object, token: str = "", client: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token or self.token}", "User-Agent": client or self._client}
        answer = httpx2.post(f"{self._site}{path}", json=body, headers=headers, timeout=60)
        return answer.json()

    def call(self, tool: str, client: str = "", **arguments: Any) -> Any:
        answer = self.post(f"/api/tools/{tool}", arguments, client=client)
        assert answer["status"] == "success", answer
        return answer["data"]

    def add(self, title: str) -> int:
        task_id: int = self.call("add_task", title=title)["task_id"]
        return task_id

    def titles(self) -> set[str]:
        return {task["title"] for task in self.call("list_tasks")["tasks"]}


@pytest.fixture
def person(site: str, database: Database) -> Person:
    return Person(site, database)


def status_of(site: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.post(f"{site}/api/tools/list_tasks", json={}, headers=headers, timeout=60).status_code


def find(page: Page, text: str) -> None:
    """Type this into the box that finds anything."""
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Find anything")).to_be_focused()
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.wait_for_load_state()


def test_a_task_that_an_assistant_deleted_is_found_and_restored(page: Page, person: Person) -> None:
    task_id = person.add(f"Renew the passport of {person.id}")
    person.call("delete_task", task_id=task_id)
    find(page, f'passport "{person.id}"')
    page.get_by_role("link", name=f"Renew the passport of {person.id}").click()
    deletion = page.locator(".todo-history li").first
    expect(deletion).to_contain_text("Deleted")
    expect(deletion).to_contain_text("via Claude")
    expect(deletion).to_contain_text("token personal")
    page.get_by_role("button", name="Restore", exact=True).click()
    expect(page.get_by_text("Restored 1 task.")).to_be_visible()
    assert person.titles() == {f"Renew the passport of {person.id}"}


def test_what_a_client_renamed_since_yesterday_is_undone(page: Page, person: Person) -> None:
    wild = f"Wild {person.id}"
    ids = [person.add(f"Task {n}") for n in range(21)]
    for task_id in ids:
        person.call("update_task", wild, task_id=task_id, title=f"RENAMED {task_id}")
    person.call("update_task", wild, task_id=ids[0], priority="high")
    page.get_by_role("link", name="Activity", exact=True).click()
    since = datetime.now(UTC) - timedelta(days=1)
    page.get_by_label("From (UTC)").fill(f"{since:%Y-%m-%dT15:00}")
    page.get_by_label("Client").fill(wild)
    page.get_by_label("What changed").select_option("title")
    page.get_by_label("Client").press("Enter")
    expect(page.locator(".todo-activity > li")).to_have_count(21)
    page.get_by_role("button", name="Undo all that the filters find…").click()
    expect(page.get_by_role("heading", name="Undo 20 calls, for 20 tasks?")).to_be_visible()
    expect(page.get_by_text("changed since this call")).to_have_count(1)  # the one whose priority is high now
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_text("Undone: 20 calls, for 20 tasks.")).to_be_visible()
    assert person.titles() == {f"RENAMED {ids[0]}"} | {f"Task {n}" for n in range(1, 21)}


def test_a_leaked_token_is_found_by_its_value_and_all_tokens_of_its_user_are_revoked(
    page: Page, person: Person, site: str, database: Database
) -> None:
    other = database.manage("issue_token", "--user", person.id).split()[-1]
    person.call("add_task", "Stranger", title=f"Sent by a stranger to {person.id}")
    find(page, person.token)
    expect(page).to_have_url(re.compile(r"/accesstoken/\d+/change/$"))  # the value is in no address
    page.get_by_role("link", name="Activity", exact=True).last.click()
    expect(page.locator(".todo-activity > li")).to_have_count(1)
    expect(page.locator(".todo-activity > li")).to_contain_text(f"Sent by a stranger to {person.id}")
    expect(page.locator(".todo-activity > li")).to_contain_text("via Stranger")
    page.go_back()
    page.get_by_role("button", name=re.compile("^Revoke all of this user")).click()
    page.get_by_label("Why?").fill("leaked")
    page.get_by_role("button", name="Revoke all tokens", exact=True).click()
    expect(page.get_by_text("Revoked all tokens of 1 user.")).to_be_visible()
    assert {status_of(site, token) for token in (person.token, other)} == {401}
    expect(page.get_by_text("leaked")).to_be_visible()  # the page is now the record of the token


def test_what_an_assistant_said_to_a_user_about_an_invoice_last_week_is_found(
    page: Page, person: Person, database: Database
) -> None:
    chat = person.post("/api/conversations", {})["id"]
    said = [
        {"role": "user", "content": "What about the invoice?"},
        {"role": "assistant", "content": f"The invoice of {person.id} is paid."},
    ]
    person.post(f"/api/conversations/{chat}/messages", said)
    person.post(
        f"/api/conversations/{chat}/messages", [{"role": "assistant", "content": "Another invoice came today."}]
    )
    week_ago = datetime.now(UTC) - timedelta(days=7)
    database.query("UPDATE messages SET created_at = %s WHERE content = %s", week_ago, said[1]["content"])
    page.get_by_role("link", name="Conversations", exact=True).click()
    page.locator("#searchbar").fill(f"invoice user:{person.id}")
    page.locator("details.todo-filters summary").press("Enter")
    page.get_by_label("Said by").select_option("assistant")
    days = page.get_by_role("group", name=re.compile("day of the message", re.IGNORECASE)).first
    days.get_by_label("From").fill(f"{week_ago - timedelta(days=1):%Y-%m-%d}")
    days.get_by_label("To").fill(f"{week_ago + timedelta(days=1):%Y-%m-%d}")
    page.locator("#searchbar").press("Enter")
    expect(page.locator("mark")).to_have_count(1)
    expect(page.locator("#result_list")).to_contain_text("assistant")
    page.locator("mark").click()
    expect(page.get_by_text(f"The invoice of {person.id} is paid.")).to_be_in_viewport()


def test_the_tool_client_field_and_users_behind_more_errors_are_found(
    page: Page, person: Person, database: Database
) -> None:
    for _ in range(3):
        person.post("/api/tools/add_task", {"title": "Milk", "due": "someday"}, client=f"Broken {person.id}")

    # The worker writes calls every 10 seconds.
    written = "SELECT count(*) FROM refused_calls WHERE user_id = %s"
    eventually(lambda: database.query(written, person.id) == [(3,)], "the calls to be written")
    page.goto("/admin/")
    page.get_by_role("link", name=re.compile("Share of errors")).click()
    for text in ("add_task", f"Broken {person.id}", "due", person.id):
        expect(page.locator("main")).to_contain_text(text)
    page.get_by_role("link", name=person.id).first.click()
    expect(page.locator("main")).to_contain_text("due")


def test_a_person_is_exported_and_erased(page: Page, person: Person, database: Database) -> None:
    person.add("Something private")
    find(page, person.id)
    page.get_by_role("link", name=person.id, exact=True).first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert "Something private" in download.value.path().read_text()
    page.get_by_role("button", name="Erase…").click()
    expect(page.locator("main")).to_contain_text("tasks")
    page.get_by_label("to confirm").fill(person.id)
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_role("heading", name="Receipt: erased")).to_be_visible()
    expect(page.locator("main")).to_contain_text(person.id)
    assert database.query("SELECT count(*) FROM users WHERE id = %s", person.id) == [(0,)]


def test_a_new_person_gets_from_nothing_to_a_connected_assistant(page: Page, browser: Browser, site: str) -> None:
    name, password = "gwendolyn", "a long enough pass phrase"
    page.get_by_role("link", name="Users", exact=True).first.click()
    page.get_by_role("link", name=re.compile("^Add")).first.click()
    page.locator("#id_id").fill(name)
    page.locator("#id_signs_in").press("Space")
    page.locator("#id_id").press("Enter")
    link = page.locator("code").first.inner_text()
    page.get_by_role("link", name="Issue a token…").click()
    page.locator("#id_name").fill("laptop")
    page.locator("#id_name").press("Enter")
    page.get_by_role("button", name="Copy").first.click()
    token = page.evaluate("navigator.clipboard.readText()")
    assert status_of(site, token) == 200
    person = browser.new_context(base_url=site).new_page()
    person.goto(link[link.index("/oauth/") :])
    person.locator("#id_new_password1").fill(password)
    person.locator("#id_new_password2").fill(password)
    person.locator("#id_new_password2").press("Enter")
    person.wait_for_load_state()
    person.goto("/oauth/sign-in")
    person.locator("#id_username").fill(name)
    person.locator("#id_password").fill(password)
    person.locator("#id_password").press("Enter")
    person.wait_for_url("**/oauth/connections")
    person.context.close()
