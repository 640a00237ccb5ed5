"""Mails for forgotten passwords: a request stores them and a worker sends them, whatever the mail server does."""

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
    """Check the queue often, and send again after a tenth of a second."""
    monkeypatch.setattr("todo_mcp.auth.account.mailing.EVERY", 0.02)
    monkeypatch.setattr(reset_mail, "RETRY_DELAYS", (timedelta(seconds=0.1),) * 5)


@pytest.fixture
async def alice_with_password(orm: Orm) -> User:
    return await orm(lambda: User.objects.create_user("alice", PASSWORD, email=ADDRESS))


async def request_reset(http: httpx2.AsyncClient, address: str = ADDRESS) -> httpx2.Response:
    browser = Browser(http)
    return await browser.submit(await browser.get(PAGE), email=address)


def log_text(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(Formatter().format(record) for record in caplog.records)


def test_a_request_runs_the_same_statements_for_known_and_unknown_addresses_and_sends_nothing(committed: None) -> None:
    User.objects.create_user("alice", PASSWORD, email=ADDRESS)
    statements_of_requests = []
    for address in (ADDRESS, "nobody@example.com"):
        with CaptureQueriesContext(connection) as captured:
            answer = Client().post(PAGE, {"email": address})
        assert (answer.status_code, answer.headers["location"]) == (302, f"{PAGE}/sent")
        statements = [query["sql"].replace(address, "ADDRESS") for query in captured.captured_queries]
        assert not any('"users"' in statement for statement in statements)
        statements_of_requests.append([statement.partition("VALUES")[0] for statement in statements])
    assert statements_of_requests[0] == statements_of_requests[1]
    assert len(statements_of_requests[0]) == 4  # count the waiting requests; BEGIN, insert the row, COMMIT
    assert mail.outbox == []
    assert list(ResetRequest.objects.order_by("id").values_list("email", flat=True)) == [ADDRESS, "nobody@example.com"]


async def test_a_mail_is_sent_soon_after_the_request_and_its_link_works_once(
    http: httpx2.AsyncClient, alice_with_password: User, server: MailServer, orm: Orm
) -> None:
    assert (await request_reset(http)).status_code == 302
    began = time.monotonic()
    await until(lambda: server.mails)
    assert time.monotonic() - began < 2
    await outbox(orm)
    (message,) = server.mails
    assert (message["to"], message["subject"]) == (ADDRESS, "Set a new password for todo-mcp")
    browser, path = Browser(http), link_in(message.get_content())
    form = await browser.get((await browser.get(path)).headers["location"])
    response = await browser.submit(
        form, new_password1="another long pass phrase", new_password2="another long pass phrase"
    )
    assert response.headers["location"] == "/oauth/sign-in"
    assert "used up" in (await Browser(http).get(path)).text


async def test_no_mail_is_sent_to_users_who_may_not_set_a_password(
    http: httpx2.AsyncClient, server: MailServer, orm: Orm
) -> None:
    await orm(lambda: User.objects.create_user("idle", PASSWORD, email="idle@example.com", is_active=False))
    await orm(lambda: User.objects.create_user("tokens-only", email="tokens@example.com"))
    await orm(lambda: User.objects.create_user("alice", PASSWORD, email=ADDRESS))
    for address in ("idle@example.com", "tokens@example.com", "nobody@example.com", ADDRESS.upper()):
        assert (await request_reset(http, address)).status_code == 302
    await outbox(orm)
    assert server.receivers == [ADDRESS]


async def test_the_next_application_process_sends_a_waiting_mail(
    orm: Orm, alice_with_password: User, server: MailServer
) -> None:
    server.hangs = True
    async with application_client() as http:
        await request_reset(http)
        await until(lambda: server.connections)
    assert await orm(lambda: ResetRequest.objects.values_list("attempts", flat=True)[0]) == 1
    server.hangs = False
    await orm(lambda: ResetRequest.objects.update(due_at=timezone.now()))  # as if two minutes had passed
    async with application_client():
        await until(lambda: server.mails)
        await outbox(orm)
    assert server.receivers == [ADDRESS]


async def test_two_workers_send_each_mail_once_even_if_sending_is_slow(
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


async def test_a_refused_mail_is_sent_again_until_the_server_accepts_it(
    orm: Orm, alice_with_password: User, server: MailServer, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuses = 3
    async with application_client() as http:
        await request_reset(http)
        await outbox(orm)
    assert (server.connections, server.receivers) == (4, [ADDRESS])
    assert [record.attempt for record in caplog.records if record.message == "mail not sent"] == [1, 2, 3]  # type: ignore[attr-defined]
    assert ADDRESS not in log_text(caplog)


async def test_a_mail_is_abandoned_after_five_attempts_and_the_warning_has_no_address(
    orm: Orm, alice_with_password: User, server: MailServer, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuses = 99
    async with application_client() as http:
        await request_reset(http)
        await outbox(orm)
    assert server.connections == 5
    assert [record.attempts for record in caplog.records if "given up" in record.message] == [5]  # type: ignore[attr-defined]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert ADDRESS not in log_text(caplog)


@pytest.mark.parametrize("changed", [{"attempts": 5}, {"asked_at": timezone.now() - timedelta(minutes=61)}])
async def test_a_request_with_five_attempts_or_an_age_of_an_hour_is_abandoned(
    orm: Orm, alice_with_password: User, server: MailServer, changed: dict[str, Any]
) -> None:
    await orm(lambda: ResetRequest.objects.create(email=ADDRESS, **changed))
    async with application_client():
        await outbox(orm)
    assert server.connections == 0


async def test_a_full_queue_gives_the_same_answer_and_accepts_no_more(
    orm: Orm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reset_mail, "QUEUE_MAX", 2)
    later = timezone.now() + timedelta(hours=1)
    async with application_client() as http:
        answers = [await request_reset(http)]
        await outbox(orm)
        await orm(lambda: ResetRequest.objects.bulk_create([ResetRequest(email=e, due_at=later) for e in "xy"]))
        answers.append(await request_reset(http))
        assert await orm(ResetRequest.objects.count) == 2
    assert [(answer.status_code, answer.headers["location"], answer.text) for answer in answers] == [
        (302, f"{PAGE}/sent", "")
    ] * 2
    assert "the queue is full" in log_text(caplog) and ADDRESS not in log_text(caplog)


async def test_a_queue_full_of_invented_addresses_is_emptied_in_small_steps_and_the_real_mail_is_sent(
    orm: Orm, alice_with_password: User, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reset_mail, "QUEUE_MAX", 2000)
    invented_requests = [ResetRequest(email=f"nobody-{n}@example.com") for n in range(1000)]
    await orm(lambda: ResetRequest.objects.bulk_create(invented_requests))
    await orm(lambda: ask_for_mail(ADDRESS))

    def claim_first() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert reset_mail.claim_next_request() == reset_mail.ClaimResult(has_more=True)
        return len(captured)

    assert await orm(claim_first) <= 6
    assert await orm(ResetRequest.objects.count) == 1001 - reset_mail.BATCH
    async with application_client():
        await until(lambda: server.mails)
        await outbox(orm)
    assert server.receivers == [ADDRESS]


async def test_many_requests_for_one_address_cause_three_mails_an_hour(
    orm: Orm, alice_with_password: User, server: MailServer
) -> None:
    app = asgi.Lifespan()
    async with app.running():
        for n in range(12):
            transport = httpx2.ASGITransport(app=app, client=(f"192.0.2.{n}", 1))
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:5000") as http:
                answer = await request_reset(http, ADDRESS.upper() if n % 2 else ADDRESS)
                assert (answer.status_code, answer.headers["location"]) == (302, f"{PAGE}/sent")
            await outbox(orm)
    assert server.receivers == [ADDRESS] * 3


def test_at_most_one_request_waits_for_each_address(committed: None) -> None:
    for address in (ADDRESS, ADDRESS, ADDRESS.upper()):
        ask_for_mail(address)
    assert ResetRequest.objects.count() == 1


async def test_a_hanging_mail_server_delays_neither_calls_nor_the_shutdown(
    orm: Orm, alice_with_password: User, server: MailServer, settings: Any
) -> None:
    settings.DATABASE_CONNECTIONS = 1
    server.hangs = True
    token = await orm(lambda: issue_token(user_id="alice"))
    async with application_client() as http:
        began = time.monotonic()
        await request_reset(http)
        await until(lambda: server.connections)
        for _ in range(20):
            assert (await Caller(http, token).post("list_tasks")).status_code == 200
        assert time.monotonic() - began < settings.EMAIL_TIMEOUT / 2
        began = time.monotonic()
    assert time.monotonic() - began < settings.EMAIL_TIMEOUT / 2


async def test_a_mail_that_is_being_sent_when_a_worker_ends_arrives_once(
    orm: Orm, alice_with_password: User, server: MailServer
) -> None:
    async with application_client() as http:
        await request_reset(http)
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
        await request_reset(http)
        await outbox(orm)
    assert f"To: {ADDRESS}" in (output := capsys.readouterr().out)
    assert link_in(output).startswith("/oauth/password/reset/")
