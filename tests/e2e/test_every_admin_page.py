"""Every page of the admin works with a screen reader, with the keyboard, on a telephone, and without scripts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.admin_pages import (
    ACCOUNT_PAGES,
    LONG,
    OPEN_PAGES,
    add_rows,
    axe_script,
    confirmations,
    find_pages,
)
from tests.e2e.sign_in import OPERATOR, READER, sign_in
from tests.support.server_process import Database, ServerProcess

FIRST_VISIT_MAX = 400_000  # bytes
WIDTHS = (1280, 390)
ROW_MAX = 62  # pixels, on a telephone


# Icons that a screen reader reads aloud, and words that the icon font has no icon for: these are wider than an icon.
ICON_FAULTS = """[...document.querySelectorAll('.material-symbols-outlined')].flatMap(icon => {
    const text = document.createRange();
    text.selectNodeContents(icon);
    const isWord = text.getBoundingClientRect().width > 1.5 * parseFloat(getComputedStyle(icon).fontSize);
    return [...icon.closest('[aria-hidden=true]') ? [] : ['read aloud'], ...isWord ? ['no icon'] : []].map(
        fault => `${fault}: ${icon.textContent.trim()}`);
})"""


@pytest.fixture(scope="module")
def site(database: Database, server: ServerProcess) -> str:
    add_rows(database)
    return server.url


@pytest.fixture(scope="module")
def pages(browser: Browser, site: str) -> list[str]:
    """Every page of an operator."""
    found = find_pages(browser, site)
    assert len(found) >= 15, found
    return [*found, *ACCOUNT_PAGES]


@pytest.fixture(scope="module")
def axe(node: Path) -> str:
    return axe_script(node.parents[2])


@pytest.fixture(params=["light", "dark"])
def context(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[BrowserContext]:
    """A browser of this scheme. The script policy is off, because axe is a script."""
    context = browser.new_context(
        base_url=site, color_scheme=request.param, bypass_csp=True, viewport={"width": 1280, "height": 900}
    )
    yield context
    context.close()


def faults(page: Page, axe: str) -> list[Any]:
    """What axe finds serious or critical on the page, and icons that a screen reader reads aloud."""
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run({resultTypes: ['violations']}).then(result => result.violations.map("
        "rule => [rule.id, rule.impact, rule.nodes.map(node => node.html.slice(0, 200))]))"
    )
    return [*(fault for fault in found if fault[1] in ("serious", "critical")), *page.evaluate(ICON_FAULTS)]


def open_everything(page: Page) -> None:
    """Open each part of a page that is closed: filters, the account menu, tables."""
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")


def width_over(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_axe_finds_nothing_serious_on_any_page(context: BrowserContext, pages: list[str], axe: str) -> None:
    page = sign_in(context)
    found = {}
    for path in pages:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        open_everything(page)
        found[path] = faults(page, axe)
        assert page.locator("main").count() == 1, path
    for path in (path for path in pages if path.endswith("/change/")):
        for name in confirmations(page, path):
            found[name] = faults(page, axe)
    page.locator("#logout-form button").evaluate("button => button.form.submit()")
    page.wait_for_url("**/admin/logout/")
    found["signed out"] = faults(page, axe)
    for path in OPEN_PAGES:
        page.goto(path)
        found[path] = faults(page, axe)
    assert {path: fault for path, fault in found.items() if fault} == {}


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window(browser: Browser, site: str, pages: list[str], width: int) -> None:
    context = browser.new_context(base_url=site, viewport={"width": width, "height": 900})
    page = sign_in(context)
    over = {}
    for path in [*pages, *(f"{path}?user={LONG}" for path in pages if "/tasks/task/" in path and "change" not in path)]:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        over[path] = width_over(page)
        open_everything(page)
        over[f"{path} open"] = width_over(page)
    for path in (path for path in pages if path.endswith("/change/")):
        for name in confirmations(page, path):
            over[name] = width_over(page)
    context.close()
    assert {path: pixels for path, pixels in over.items() if pixels > 0} == {}


def test_a_task_has_two_lines_on_a_telephone(browser: Browser, site: str) -> None:
    context = browser.new_context(base_url=site, viewport={"width": 390, "height": 900})
    page = sign_in(context)
    page.goto("/admin/tasks/task/")
    heights = page.locator("#result_list tr.data-row").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    context.close()
    assert len(heights) == 50 and max(heights) <= ROW_MAX, heights


def test_a_long_text_is_cut_and_its_tooltip_shows_it_whole(browser: Browser, site: str) -> None:
    context = browser.new_context(base_url=site, viewport={"width": 1280, "height": 900})
    page = sign_in(context)
    page.goto(f"/admin/tasks/task/?user={LONG}")
    title = page.locator("#result_list th .todo-cut")
    assert title.get_attribute("title") == LONG * 2
    assert title.evaluate("title => title.offsetWidth") < 400
    expect(page.locator("#result_list .field-created time")).to_be_in_viewport()
    context.close()


def test_everything_is_reached_with_the_keyboard(browser: Browser, site: str) -> None:
    context = browser.new_context(base_url=site, viewport={"width": 1280, "height": 900})
    page = sign_in(context)
    page.goto("/admin/tasks/task/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.locator("#searchbar").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # opens the filters
    page.keyboard.press("Tab")
    expect(page.get_by_label("Status")).to_be_focused()
    page.keyboard.type("Comp")
    page.get_by_label("User id").focus()
    page.keyboard.type("bob")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"\?status=completed&user=bob(#content)?$"))
    page.locator(".todo-account summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    toggle = page.get_by_role("button", name="Show or hide the sidebar")
    toggle.press("Enter")
    expect(page.locator("#nav-sidebar")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_work_without_scripts(browser: Browser, site: str, pages: list[str], width: int) -> None:
    context = browser.new_context(base_url=site, java_script_enabled=False, viewport={"width": width, "height": 900})
    page = sign_in(context)
    for path in pages:
        page.goto(path)
        expect(page.locator("h1:visible, noscript:visible").first).to_be_visible()
        if path.startswith("/admin/"):
            expect(page.locator("#nav-sidebar")).to_be_visible()
            expect(page.locator("noscript p")).to_be_visible()  # a locator by text skips it
    page.goto("/admin/tasks/task/")
    page.locator(".todo-filters summary").click()
    page.get_by_label("Status").select_option("completed")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile(r"\?status=completed$"))
    context.close()


def test_a_first_visit_of_the_overview_transfers_little(browser: Browser, site: str) -> None:
    context = browser.new_context(base_url=site)
    page = sign_in(context)
    state = context.storage_state()
    context.close()
    context = browser.new_context(base_url=site, storage_state=state)
    page = context.new_page()
    protocol = context.new_cdp_session(page)
    protocol.send("Network.enable")
    sizes: list[float] = []
    protocol.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto("/admin/", wait_until="networkidle")
    expect(page.locator("main")).to_be_visible()
    context.close()
    assert 50_000 < sum(sizes) < FIRST_VISIT_MAX, sizes


def test_a_user_who_is_no_operator_learns_what_to_do(browser: Browser, site: str) -> None:
    context = browser.new_context(base_url=site)
    page = sign_in(context, READER)
    page.goto("/admin/tasks/task/")
    expect(page.get_by_text(f"You are signed in as {READER}, who is not an operator.")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Request [0-9a-f]{32}"))).to_be_visible()
    context.close()


def test_the_title_of_a_window_names_the_thing_first(browser: Browser, site: str) -> None:
    context = browser.new_context(base_url=site)
    page = sign_in(context)
    expect(page).to_have_title("Overview · todo-mcp")
    page.goto(f"/admin/users/user/{OPERATOR}/change/")
    expect(page).to_have_title(f"\u2068{OPERATOR}\u2069 · Users · todo-mcp")
    page.goto("/admin/tasks/task/")
    expect(page).to_have_title("Tasks · todo-mcp")
    context.close()
