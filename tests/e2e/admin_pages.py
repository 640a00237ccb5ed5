"""Every page of the admin, found by the registry and by links, with rows whose texts are as long as allowed."""

from collections.abc import Iterator
from pathlib import Path

from django.contrib import admin
from django.urls import NoReverseMatch, reverse
from playwright.sync_api import Browser, Page

from tests.e2e.sign_in import add_operators, sign_in
from tests.support.server_process import Database
from todo_mcp import urls  # loads the registry

assert urls.urlpatterns
LONG = "W" * 60
_ROWS = f"""
import json
from django.core.management import call_command
from conversations.models import Conversation, Message
from tasks.models import Task
from todo_mcp.auth.tokens import issue_token
from todo_mcp.postgres.history import history_context
from todo_mcp.users.services import create_user
call_command("seed_demo", verbosity=0)
user = create_user(user_id={LONG!r}, name={LONG!r} * 3, email={LONG!r} + "@example.com")
with history_context(user=user.pk, tool="add_task", client={LONG!r} * 3, token_name={LONG!r}):
    task = Task.objects.create(user=user, title={LONG!r} * 3, description={LONG!r} * 10, tags=[{LONG!r}[:40]])
    Task.objects.filter(pk=task.pk).update(title={LONG!r} * 2)
long_json = json.dumps(dict(type={LONG!r}, {LONG}=[{LONG!r} * 20] * 9))
chat = Conversation.objects.create(user=user, title={LONG!r} * 3, ref={LONG!r}, metadata=long_json)
Message.objects.create(
    conversation=chat, user=user, role="user", content={LONG!r} * 20, ref={LONG!r}, item=long_json
)
Task.objects.filter(pk=task.pk).update(conversation=chat)
issue_token(user_id=user.pk, name={LONG!r})
"""
ACCOUNT_PAGES = ["/", "/oauth/connections", "/oauth/time-zone", "/oauth/password", "/api/docs"]
OPEN_PAGES = ["/admin/login/", "/oauth/sign-in", "/oauth/password/reset", "/oauth/authorize", "/nothing"]


def add_rows(database: Database) -> None:
    add_operators(database)
    database.manage("shell", "--no-imports", "-c", _ROWS)


def find_pages(browser: Browser, site: str) -> list[str]:
    """The overview, each list, what the sidebar links to, each form for a new row, and the pages of some rows."""
    context = browser.new_context(base_url=site)
    page = sign_in(context)
    sidebar = page.locator("#nav-sidebar-apps a").evaluate_all("links => links.map(a => a.pathname)")
    lists = [_reverse(model, "changelist") for model in admin.site._registry]
    forms = [_reverse(model, "add") for model in admin.site._registry]
    found = dict.fromkeys([*sidebar, *filter(None, lists), *filter(None, forms)])
    for path in filter(None, lists):
        for query in ("", f"?user={LONG}"):
            page.goto(path + query)
            found |= dict.fromkeys(_rows(page, path))
    statuses = {path: page.request.get(path).status for path in found}
    context.close()
    assert set(statuses.values()) <= {200, 403}, statuses
    return [path for path, status in statuses.items() if status == 200]


def confirmations(page: Page, path: str) -> Iterator[str]:
    """Each page that asks before an action on this row. The browser is on it when its name is yielded."""
    page.goto(path)
    for place in ("main form", ".todo-panel form"):
        for number in range(page.locator(f"{place} button:text-matches('…$')").count()):
            page.goto(path)
            button = page.locator(f"{place} button:text-matches('…$')").nth(number)
            label = button.inner_text()
            button.click()
            page.wait_for_load_state()
            yield f"{path} {label}"


def axe_script(modules: Path) -> str:
    return (modules / "axe-core" / "axe.min.js").read_text()


def _rows(page: Page, path: str) -> list[str]:
    """The pages of the first row and the last row of this list."""
    links = page.locator("#result_list a[href]").evaluate_all("links => links.map(a => a.pathname)")
    rows = [link for link in links if link.startswith(path) and link != path]
    return [*rows[:1], *rows[-1:]]


def _reverse(model: type, name: str) -> str | None:
    meta = model._meta  # type: ignore[attr-defined] # every model has it
    try:
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_{name}")
    except NoReverseMatch:  # a list of rows that nobody adds
        return None
