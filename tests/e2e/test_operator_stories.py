"""Seven questions of an operator, each answered with at most six clicks from the overview, in a real Chromium.

A click is a press of the mouse; typing and Enter are none. The last confirmation is one.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.admin_pages import OPERATOR, add_rows, sign_in
from tests.support.server_process import Database, ServerProcess

CLICKS_MAX = 6
_COUNT_CLICKS = """
addEventListener("mousedown", () => {
    sessionStorage.setItem("clicks", Number(sessionStorage.getItem("clicks")) + 1);
}, true);
"""


@pytest.fixture(scope="module")
def site(database: Database, server: ServerProcess) -> str:
    add_rows(database)
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
    ids = [person.add(f"Task {n}") for n in range(20)]
    for task_id in ids:
        person.call("update_task", wild, task_id=task_id, title=f"RENAMED {task_id}")
    person.call("update_task", wild, task_id=ids[0], priority="high")
    page.get_by_role("link", name="Activity", exact=True).click()
    since = datetime.now(UTC) - timedelta(days=1)
    page.get_by_label("From (UTC)").fill(f"{since:%Y-%m-%dT15:00}")
    page.get_by_label("Client").fill(wild)
    page.get_by_label("What changed").select_option("title")
    page.get_by_label("Client").press("Enter")
    expect(page.locator(".todo-activity > li")).to_have_count(20)
    page.get_by_role("button", name="Undo all that the filters find…").click()
    expect(page.get_by_role("heading", name="Undo 19 calls, for 19 tasks?")).to_be_visible()
    expect(page.get_by_text("changed since this call")).to_have_count(1)  # the one whose priority is high now
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_text("Undone: 19 calls, for 19 tasks.")).to_be_visible()
    assert person.titles() == {f"RENAMED {ids[0]}"} | {f"Task {n}" for n in range(1, 20)}
