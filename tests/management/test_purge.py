"""`manage.py purge` removes due rows in batches and nothing else. It draws a progress bar only on a terminal."""

import contextlib
import io
import os
import pty
import termios
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from oauth2_provider.models import AccessToken
from pytest_django.fixtures import Settings

from conversations.models import Conversation, Message
from conversations.retention import OLD_CONVERSATIONS
from tasks.models import Task, TaskEvent
from tasks.retention import DELETED_TASKS
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory
from todo_mcp.auth.models import ResetRequest
from todo_mcp.auth.tokens import issue_token
from todo_mcp.idempotency.models import IdempotencyKey
from todo_mcp.statistics.models import CallStatistics, RefusedCall
from todo_mcp.users.models import User


def ago(**length: float) -> datetime:
    return timezone.now() - timedelta(**length)


@pytest.fixture
def due_and_recent_rows(committed: None, alice: User, settings: Settings) -> None:
    """Three rows of each kind that are due, and two that are not due yet."""
    settings.CONVERSATION_DAYS = 7
    for n, due in enumerate((True, True, True, False, False)):
        TaskFactory.create(user=alice, deleted_at=ago(days=31 if due else 29))
        conversation = ConversationFactory.create(user=alice, updated_at=ago(days=8 if due else 6))
        MessageFactory.create_batch(2, conversation=conversation)
        key_fields = {"operation": "add_task", "key": f"{n}", "fingerprint": b"x" * 32, "result": {}}
        IdempotencyKey.objects.create(user=alice, created_at=ago(hours=25 if due else 23), **key_fields)
        issue_token(user_id="alice", expires_in=timedelta(days=-1 if due else 1))
        Session.objects.create(session_key=f"{n}", session_data="", expire_date=ago(days=1 if due else -1))
        call_fields = {"tool": "add_task", "outcome": "success", "transport": "mcp", "calls": 1}
        times = {"milliseconds_total": 1.0, "milliseconds_max": 1.0}
        CallStatistics.objects.create(hour=ago(days=91 if due else 89), client=f"{n}", **call_fields, **times)
        refused = {"tool": "add_task", "outcome": "busy", "transport": "mcp", "fields": []}
        RefusedCall.objects.create(user=alice, at=ago(days=8 if due else 6), **refused)
        ResetRequest.objects.create(email=f"{n}@example.com", asked_at=ago(hours=25 if due else 23))
        add_sign_ins(
            f"{n}", failed_at=ago(minutes=24 * 60 + (16 if due else 14)), logged_at=ago(days=91 if due else 89)
        )
    TaskFactory.create(user=alice)


def add_sign_ins(username: str, *, failed_at: datetime, logged_at: datetime) -> None:
    """Add a failed and a successful sign-in. django-axes sets the time of a new row, so it is updated afterwards."""
    fields = {"username": username, "ip_address": "127.0.0.1", "path_info": "/oauth/sign-in"}
    attempt = AccessAttempt.objects.create(**fields, failures_since_start=1)
    AccessAttempt.objects.filter(pk=attempt.pk).update(attempt_time=failed_at)
    for model in (AccessFailureLog, AccessLog):
        model.objects.filter(pk=model.objects.create(**fields).pk).update(attempt_time=logged_at)


MODELS: tuple[Any, ...] = (Task, Conversation, IdempotencyKey, AccessToken, Session, CallStatistics)
MODELS += (RefusedCall, ResetRequest, AccessAttempt, AccessFailureLog, AccessLog)


def counts() -> list[int]:
    return [model.objects.count() for model in MODELS]


def purge(*arguments: str) -> str:
    out = io.StringIO()
    call_command("purge", *arguments, stdout=out)
    return out.getvalue()


def test_purge_removes_due_rows_and_nothing_else(due_and_recent_rows: None) -> None:
    output = purge()
    assert counts() == [3] + [2] * 10
    assert Message.objects.count() == 4
    assert set(TaskEvent.objects.values_list("pgh_obj_id", flat=True)) == set(Task.objects.values_list("pk", flat=True))
    assert output.count("Removed 3 ") == 11
    assert all(line.startswith("Removed 0 ") for line in purge().splitlines())


def test_a_dry_run_says_what_it_would_remove_and_removes_nothing(due_and_recent_rows: None) -> None:
    before = counts()
    output = purge("--dry-run")
    assert counts() == before
    assert output.count("Would remove 3 ") == 11


def test_a_locked_name_stays_locked(committed: None) -> None:
    """Five wrong passwords in the last 15 minutes lock a name for an address."""
    client = Client()
    form = {"username": "alice", "password": "wrong"}
    for _ in range(5):
        client.post("/oauth/sign-in", form)
    purge()
    assert client.post("/oauth/sign-in", form).status_code == 429


def test_conversations_stay_forever_unless_the_operator_sets_a_number_of_days(
    due_and_recent_rows: None, settings: Settings
) -> None:
    settings.CONVERSATION_DAYS = 0
    assert "Removed 0 old conversations." in purge()
    assert Conversation.objects.count() == 5


def test_a_task_loses_only_its_link_when_its_conversation_is_removed(due_and_recent_rows: None, alice: User) -> None:
    message = Message.objects.order_by("id")[0]
    task = TaskFactory.create(user=alice, conversation=message.conversation, message=message)
    purge()
    task.refresh_from_db()
    assert (task.conversation_id, task.message_id) == (None, None)


def test_every_batch_is_its_own_transaction(due_and_recent_rows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("todo_mcp.postgres.upkeep.purging.BATCH", 2)
    with CaptureQueriesContext(connection) as captured:
        assert list(DELETED_TASKS.run()) == [2, 1]
    verbs = [query["sql"].split()[0] for query in captured.captured_queries]
    assert verbs.count("BEGIN") == verbs.count("COMMIT") == 3  # the last one finds no rows


def test_locked_rows_are_left_for_the_next_run(due_and_recent_rows: None) -> None:
    locked_id = Conversation.objects.earliest("updated_at").pk
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT FROM conversations WHERE id = %s FOR UPDATE", [locked_id])
        assert sum(OLD_CONVERSATIONS.run()) == 2
    assert sum(OLD_CONVERSATIONS.run()) == 1


def test_removing_conversations_does_not_read_the_messages(due_and_recent_rows: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert sum(OLD_CONVERSATIONS.run()) == 3
    assert not [query for query in captured.captured_queries if '"content"' in query["sql"]]


def test_the_progress_bar_is_drawn_on_a_terminal(due_and_recent_rows: None) -> None:
    screen, line = pty.openpty()
    termios.tcsetwinsize(line, (24, 80))
    os.set_blocking(screen, False)  # without a bar, fail instead of waiting
    with os.fdopen(line, "w") as stderr, contextlib.redirect_stderr(stderr):
        purge()
        output = os.read(screen, 65536).decode()
    os.close(screen)
    assert "deleted tasks" in output
    assert "%|" in output


def test_no_progress_bar_is_drawn_without_a_terminal(
    due_and_recent_rows: None, capsys: pytest.CaptureFixture[str]
) -> None:
    purge()
    assert capsys.readouterr().err == ""
