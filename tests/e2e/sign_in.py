"""People of the browser tests, and how they sign in."""

from playwright.sync_api import BrowserContext, Page

from tests.support.server_process import Database

OPERATOR, READER, PASSWORD = "operator", "reader", "correct horse battery staple"
_OPERATORS = f"""
from todo_mcp.users.models import User
from todo_mcp.users.services import create_user
for name, is_superuser in (({OPERATOR!r}, True), ({READER!r}, False)):
    if not User.objects.filter(pk=name).exists():
        create_user(user_id=name, password={PASSWORD!r}, is_superuser=is_superuser)
"""


def add_operators(database: Database) -> None:
    """Create the operator and a user who is none, unless a test before did."""
    database.manage("shell", "--no-imports", "-c", _OPERATORS)


def sign_in(context: BrowserContext, user_id: str = OPERATOR) -> Page:
    """A page of the browser, signed in at the overview, or, for a user who is no operator, at the connected apps."""
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto("/admin/" if user_id == OPERATOR else "/oauth/sign-in")
    page.locator("#id_username").fill(user_id)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("form button.primary").click()
    page.wait_for_load_state()
    return page
