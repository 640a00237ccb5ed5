"""Mails for forgotten passwords: stored by the request, sent by a worker, whatever becomes of the mail server."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.support.application import Orm, application_client
from tests.support.auth.mails import MailServer, link_in, mail_server, outbox, until
from tests.support.auth.oauth_client import PASSWORD, Browser
from tests.support.caller import Caller
from todo_mcp import asgi
from todo_mcp.auth.account import reset_mail
from todo_mcp.auth.account.reset_mail import ask_for_mail
from todo_mcp.auth.models import ResetRequest
from todo_mcp.auth.tokens import issue_token
from todo_mcp.operators.user_data import delete_user
from todo_mcp.telemetry.logs import Formatter
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

ADDRESS = "alice@example.com"
PAGE = "/oauth/password/reset"


@pytest.fixture
async def server(settings: Any, anyio_backend: str) -> AsyncIterator[MailServer]:
    async with mail_server(settings) as server:
        yield server


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and try again after a tenth of a second."""
    monkeypatch.setattr("todo_mcp.auth.account.mailing.EVERY", 0.02)
    monkeypatch.setattr(reset_mail, "RETRY_DELAYS", (timedelta(seconds=0.1),) * 5)


@pytest.fixture
async def alice_with_password(orm: Orm) -> User:
    return await orm(lambda: User.objects.create_user("alice", PASSWORD, email=ADDRESS))


async def ask(http: httpx2.AsyncClient, address: str = ADDRESS) -> httpx2.Response:
    browser = Browser(http)
    return await browser.submit(await browser.get(PAGE), email=address)


def told(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(Formatter().format(record) for record in caplog.records)


def test_a_request_makes_the_same_statements_whether_the_address_is_known_and_sends_nothing(committed: None) -> None:
    User.objects.create_user("alice", PASSWORD, email=ADDRESS)
    asked = []
    for address in (ADDRESS, "nobody@example.com"):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            answer = Client().post(PAGE, {"email": address})
        assert (answer.status_code, answer.headers["location"]) == (302, f"{PAGE}/sent")
        statements = [query["sql"].replace(address, "ADDRESS") for query in captured.captured_queries]
        assert not any('"users"' in statement for statement in statements)
        asked.append([statement.partition("VALUES")[0] for statement in statements])
    assert asked[0] == asked[1]
    assert len(asked[0]) == 4  # how many wait; BEGIN, the row, COMMIT
    assert mail.outbox == []
    assert list(ResetRequest.objects.order_by("id").values_list("email", flat=True)) == [ADDRESS, "nobody@example.com"]


async def test_a_mail_leaves_soon_after_the_request_and_its_link_works_once(
    http: httpx2.AsyncClient, alice_with_password: User, server: MailServer, orm: Orm
) -> None:
    assert (await ask(http)).status_code == 302
    began = time.monotonic()
    await until(lambda: server.mails)
    assert time.monotonic() - began < 2
    await outbox(orm)
    (sent,) = server.mails
    assert (sent["to"], sent["subject"]) == (ADDRESS, "Set a new password for todo-mcp")
    browser, path = Browser(http), link_in(sent.get_content())
    form = await browser.get((await browser.get(path)).headers["location"])
    done = await browser.submit(
        form, new_password1="another long pass phrase", new_password2="another long pass phrase"
    )
    assert done.headers["location"] == "/oauth/sign-in"
    assert "used up" in (await Browser(http).get(path)).text


async def test_nobody_is_written_to_who_may_not_set_a_password(
    http: httpx2.AsyncClient, server: MailServer, orm: Orm
) -> None:
    await orm(lambda: User.objects.create_user("idle", PASSWORD, email="idle@example.com", is_active=False))
    await orm(lambda: User.objects.create_user("tokens-only", email="tokens@example.com"))
    await orm(lambda: User.objects.create_user("alice", PASSWORD, email=ADDRESS))
    for address in ("idle@example.com", "tokens@example.com", "nobody@example.com", ADDRESS.upper()):
        assert (await ask(http, address)).status_code == 302
    await outbox(orm)
    assert server.receivers == [ADDRESS]


async def test_what_waits_is_sent_by_the_next_application(
    orm: Orm, alice_with_password: User, server: MailServer
) -> None:
    server.hangs = True
    async with application_client() as http:
        await ask(http)
        await until(lambda: server.connections)
    assert await orm(lambda: ResetRequest.objects.values_list("attempts", flat=True)[0]) == 1
    server.hangs = False
    await orm(lambda: ResetRequest.objects.update(due_at=timezone.now()))  # as it is two minutes later
    async with application_client():
        await until(lambda: server.mails)
        await outbox(orm)
    assert server.receivers == [ADDRESS]


async def test_two_workers_send_each_mail_once_however_long_that_takes(
    orm: Orm, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("todo_mcp.auth.account.mailing.EVERY", 0.02)
    server.seconds = 0.1
    addresses = [f"user-{n:02}@example.com" for n in range(15)]
    for address in addresses:
        await orm(lambda address=address: User.objects.create_user(address, PASSWORD, email=address))  # type: ignore[misc]
        await orm(lambda address=address: ask_for_mail(address))  # type: ignore[misc]
    async with application_client(), application_client():
        await outbox(orm)
    assert server.receivers == addresses


async def test_a_server_that_refuses_is_tried_again_until_it_takes_the_mail(
    orm: Orm, alice_with_password: User, server: MailServer, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuses = 3
    async with application_client() as http:
        await ask(http)
        await outbox(orm)
    assert (server.connections, server.receivers) == (4, [ADDRESS])
    assert [record.attempt for record in caplog.records if record.message == "mail not sent"] == [1, 2, 3]  # type: ignore[attr-defined]
    assert ADDRESS not in told(caplog)


async def test_after_five_attempts_it_is_given_up_with_a_warning_that_names_nobody(
    orm: Orm, alice_with_password: User, server: MailServer, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuses = 99
    async with application_client() as http:
        await ask(http)
        await outbox(orm)
    assert server.connections == 5
    assert [record.attempts for record in caplog.records if "given up" in record.message] == [5]  # type: ignore[attr-defined]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert ADDRESS not in told(caplog)


@pytest.mark.parametrize("changed", [{"attempts": 5}, {"asked_at": timezone.now() - timedelta(minutes=61)}])
async def test_what_workers_died_of_or_is_an_hour_old_is_given_up(
    orm: Orm, alice_with_password: User, server: MailServer, changed: dict[str, Any]
) -> None:
    await orm(lambda: ResetRequest.objects.create(email=ADDRESS, **changed))
    async with application_client():
        await outbox(orm)
    assert server.connections == 0


async def test_a_full_queue_is_answered_alike_and_takes_no_more(
    orm: Orm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reset_mail, "QUEUE_MAX", 2)
    later = timezone.now() + timedelta(hours=1)
    async with application_client() as http:
        answers = [await ask(http)]
        await outbox(orm)
        await orm(lambda: ResetRequest.objects.bulk_create([ResetRequest(email=e, due_at=later) for e in "xy"]))
        answers.append(await ask(http))
        assert await orm(ResetRequest.objects.count) == 2
    assert [(answer.status_code, answer.headers["location"], answer.text) for answer in answers] == [
        (302, f"{PAGE}/sent", "")
    ] * 2
    assert "the queue is full" in told(caplog) and ADDRESS not in told(caplog)


async def test_a_queue_full_of_strangers_words_is_emptied_in_small_steps_and_the_honest_mail_leaves(
    orm: Orm, alice_with_password: User, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reset_mail, "QUEUE_MAX", 2000)
    made_up = [ResetRequest(email=f"nobody-{n}@example.com") for n in range(1000)]
    await orm(lambda: ResetRequest.objects.bulk_create(made_up))
    await orm(lambda: ask_for_mail(ADDRESS))

    def first() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert reset_mail.claim_next_request() == reset_mail.ClaimResult(has_more=True)
        return len(captured)

    assert await orm(first) <= 6
    assert await orm(ResetRequest.objects.count) == 1001 - reset_mail.BATCH
    async with application_client():
        await until(lambda: server.mails)
        await outbox(orm)
    assert server.receivers == [ADDRESS]


async def test_many_requests_for_one_address_from_everywhere_are_three_mails_an_hour(
    orm: Orm, alice_with_password: User, server: MailServer
) -> None:
    app = asgi.Lifespan()
    async with app.running():
        for n in range(12):
            transport = httpx2.ASGITransport(app=app, client=(f"192.0.2.{n}", 1))
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:5000") as http:
                answer = await ask(http, ADDRESS.upper() if n % 2 else ADDRESS)
                assert (answer.status_code, answer.headers["location"]) == (302, f"{PAGE}/sent")
            await outbox(orm)
    assert server.receivers == [ADDRESS] * 3


def test_one_request_waits_for_each_address(committed: None) -> None:
    for address in (ADDRESS, ADDRESS, ADDRESS.upper()):
        ask_for_mail(address)
    assert ResetRequest.objects.count() == 1


async def test_a_mail_server_that_hangs_delays_no_call_and_not_the_end(
    orm: Orm, alice_with_password: User, server: MailServer, settings: Any
) -> None:
    settings.DATABASE_CONNECTIONS = 1
    server.hangs = True
    token = await orm(lambda: issue_token(user_id="alice"))
    async with application_client() as http:
        began = time.monotonic()
        await ask(http)
        await until(lambda: server.connections)
        for _ in range(20):
            assert (await Caller(http, token).post("list_tasks")).status_code == 200
        assert time.monotonic() - began < settings.EMAIL_TIMEOUT / 2
        began = time.monotonic()
    assert time.monotonic() - began < settings.EMAIL_TIMEOUT / 2


async def test_the_end_of_a_worker_lets_a_mail_under_way_arrive_once(
    orm: Orm, alice_with_password: User, server: MailServer
) -> None:
    async with application_client() as http:
        await ask(http)
        await until(lambda: server.connections)
    async with asyncio.timeout(5):
        await outbox(orm)
    assert server.receivers == [ADDRESS]


def test_old_requests_are_purged_and_those_of_an_erased_user_are_erased(committed: None) -> None:
    User.objects.create_user("alice", PASSWORD, email=ADDRESS)
    User.objects.create_user("nameless", PASSWORD)
    for address, hours in (("old@example.com", 25), ("new@example.com", 23), (ADDRESS.upper(), 0)):
        ResetRequest.objects.create(email=address, asked_at=timezone.now() - timedelta(hours=hours))
    call_command("purge")
    delete_user(user_id="nameless")
    assert ResetRequest.objects.count() == 2
    delete_user(user_id="alice")
    assert ResetRequest.objects.get().email == "new@example.com"


async def test_in_development_the_mail_is_printed(
    orm: Orm, alice_with_password: User, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    async with application_client() as http:
        await ask(http)
        await outbox(orm)
    assert f"To: {ADDRESS}" in (printed := capsys.readouterr().out)
    assert link_in(printed).startswith("/oauth/password/reset/")
