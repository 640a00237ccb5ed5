"""A mail for a forgotten password survives ``kill -9``, and a mail server that hangs does not delay a stop."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.support.auth.mails import mail_server, until
from tests.support.auth.oauth_client import Browser
from tests.support.processes import eventually, scratch
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio
CREATE_USER = """
from todo_mcp.users.models import User
User.objects.create_user("forgetful", "a long pass phrase", email="forgetful@example.com")
"""


@pytest.fixture
def database() -> Iterator[Database]:
    """A database without any other server. Another one would send the mail too, with its own settings."""
    with scratch() as directory:
        database = Database(directory / "postgres")
        yield database
        database.stop()


async def test_a_requested_mail_is_sent_after_kill_9_and_a_mail_server_that_hangs_delays_no_stop(
    database: Database, tmp_path_factory: pytest.TempPathFactory, settings: object
) -> None:
    await asyncio.to_thread(database.manage, "shell", "--no-imports", "-c", CREATE_USER)
    async with mail_server(settings) as mails:
        mails.hangs = True
        log = tmp_path_factory.mktemp("log") / "server.log"
        url = f"smtp://127.0.0.1:{mails.port}"
        server = await asyncio.to_thread(ServerProcess, database, log, EMAIL_URL=url, DATABASE_CONNECTIONS=2)
        try:
            async with server.client() as http:
                browser = Browser(http)
                page = await browser.get("/oauth/password/reset")
                assert (await browser.submit(page, email="forgetful@example.com")).status_code == 302
            await until(lambda: mails.connections)
            server.kill()
            assert database.query("SELECT email, attempts FROM reset_requests") == [("forgetful@example.com", 1)]

            database.query("UPDATE reset_requests SET due_at = now()")  # as if two minutes had passed
            await asyncio.to_thread(server.restart)
            await until(lambda: mails.connections == 2)
            began = time.monotonic()
            server.terminate()
            assert await asyncio.to_thread(server.exit_code) == 0
            assert time.monotonic() - began < 4, "the stop does not wait for sending, which takes up to 5 s"

            mails.hangs = False
            database.query("UPDATE reset_requests SET due_at = now()")
            await asyncio.to_thread(server.restart)
            await until(lambda: mails.mails)
            await asyncio.to_thread(
                eventually, lambda: not database.query("SELECT 1 FROM reset_requests"), "the row to be deleted"
            )
        finally:
            await asyncio.to_thread(server.close)
        assert mails.receivers == ["forgetful@example.com"]
        assert "forgetful@example.com" not in server.log()
