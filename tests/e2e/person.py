"""A person with a real browser, who signs in, reads the question and allows it."""

import os
import shutil
from dataclasses import dataclass

from playwright.sync_api import Page, sync_playwright

from tests.support.server_process import Database

PASSWORD = "correct horse battery staple"
CALLBACK = "http://127.0.0.1:33418/callback"  # nothing listens there; only the address of the redirect counts
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]  # root can run it only without sandbox
_SET_PASSWORD = """
from todo_mcp.users.models import User
user = User.objects.get(pk={user_id!r})
user.set_password({password!r})
user.save()
"""


@dataclass(frozen=True)
class Person:
    user_id: str

    @classmethod
    def new(cls, database: Database) -> "Person":
        user_id, _ = database.new_user()
        database.manage("shell", "--no-imports", "-c", _SET_PASSWORD.format(user_id=user_id, password=PASSWORD))
        return cls(user_id)

    def allow(self, question: str) -> str:
        """Open the authorization request, sign in and allow it. Returns the address of the redirect."""
        with sync_playwright() as playwright:
            chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
            assert chromium, "Install Chromium (Debian: apt-get install chromium), or name it in CHROMIUM."
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(ignore_https_errors=True)  # a test may have a certificate of its own
            page.goto(question)
            server = question.partition("/oauth/")[0]
            with page.expect_request(lambda request: not request.url.startswith(server)) as callback:
                self.sign_in_and_allow(page)
            if response := callback.value.response():
                response.finished()
            browser.close()
            return callback.value.url

    def sign_in_and_allow(self, page: Page) -> None:
        """Answer the authorization request that the page shows."""
        page.fill("[name=username]", self.user_id)
        page.fill("[name=password]", PASSWORD)
        page.click("text=Sign in >> nth=-1")
        assert page.locator("h1").inner_text().startswith("Connect ")
        page.click("button[name=allow]")
