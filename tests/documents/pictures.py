"""``make pictures``: takes the pictures of docs/images anew, of a server with demo data. Needs Chromium."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.documents import overview
from tests.e2e.conftest import FLAGS, chromium
from tests.e2e.sign_in import add_operators, sign_in
from tests.support.server_process import ROOT, Database, ServerProcess, environment_with

IMAGES = ROOT / "docs" / "images"


class DemoDatabase(Database):
    """The PostgreSQL of a data directory, with an operator and demo data."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manage("migrate")
        add_operators(self)
        self.manage("seed_demo")
        self.manage("create_user", overview.USER, "--time-zone", "Europe/Berlin")

    def environment(self, **settings: object) -> dict[str, str]:
        return environment_with({"DATABASE_URL": "", "TODO_DATA_DIR": self.directory} | settings)


@contextmanager
def demo_page() -> Iterator[tuple[Page, overview.Parts]]:
    """The overview of the admin in Chromium, signed in. And a conversation that was played before."""
    with tempfile.TemporaryDirectory() as directory:
        database = DemoDatabase(Path(directory))
        server = ServerProcess(database, Path(directory) / "server.log")
        token = database.manage("issue_token", "--user", overview.USER, "--name", "laptop").strip()
        parts = overview.play(server.url, token)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            context = browser.new_context(base_url=server.url, viewport={"width": 1440, "height": 900})
            yield sign_in(context), parts
            browser.close()
        server.close()


def take_pictures(page: Page) -> None:
    """One picture of each page that the documents show."""

    def take(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=IMAGES / f"admin-{name}.png")
        print(f"docs/images/admin-{name}.png")

    take("overview")
    page.goto("/admin/tasks/taskevent/?change=title")
    take("activity")
    page.locator(".todo-activity h3 a").first.click()
    page.wait_for_load_state()
    page.locator("#history-title").evaluate("title => title.scrollIntoView({block: 'center'})")
    take("task")
    page.goto("/admin/statistics/callstatistics/?span=yesterday&outcome=errors")
    take("calls")
    page.goto("/admin/conversations/conversation/")
    for path in page.locator("#result_list tbody th a").evaluate_all("links => links.map(link => link.pathname)"):
        page.goto(path)
        if page.locator(".todo-call").count():  # a task came from one of its messages
            break
    page.locator(".todo-call").first.evaluate("call => call.scrollIntoView({block: 'center'})")
    take("conversation")


if __name__ == "__main__":
    with demo_page() as (demo, played):
        take_pictures(demo)
        overview.draw(demo, played, IMAGES / "overview.png")
