"""``seed_demo`` makes data to look at: the same for the same seed, and never where it would be in the way."""

import re
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from oauth2_provider.models import AccessToken
from pytest_django import Settings

from conversations.models import Conversation, Message
from tasks.models import Task, TaskEvent
from todo_mcp.operators.demo_texts import USERS
from todo_mcp.statistics.models import CallStatistics
from todo_mcp.statistics.token_use import last_used
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


def words() -> list[Any]:
    tasks = [(task.user_id, task.title, task.completed, bool(task.deleted_at)) for task in Task.objects.order_by("id")]
    return [*tasks, *Message.objects.order_by("id").values_list("user_id", "role", "content")]


def test_the_data_looks_alive(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.perf_counter()
    call_command("seed_demo")
    assert time.perf_counter() - started < 5
    assert re.match(r"Added 5 users, (1[89]|2\d)\d tasks, ", capsys.readouterr().out)
    assert set(User.objects.values_list("pk", flat=True)) == set(USERS)
    assert Task.objects.filter(completed=True).exists() and Task.objects.filter(completed=False).exists()
    assert Task.objects.filter(deleted_at__isnull=False).exists()
    assert not Task.objects.filter(updated_at__lt=F("created_at")).exists()
    assert not Conversation.objects.filter(messages=None).exists()


def test_every_task_has_a_history_that_fits_it() -> None:
    call_command("seed_demo")
    assert not TaskEvent.objects.exclude(pgh_created_at=F("updated_at")).exists()
    assert all(event.pgh_context["user"] == event.user_id for event in TaskEvent.objects.all())
    assert TaskEvent.objects.filter(pgh_label="insert").count() == Task.objects.count()
    tools = set(TaskEvent.objects.values_list("pgh_context__tool", flat=True))
    assert tools == {"add_task", "update_task", "complete_task", "delete_task"}


def test_some_tasks_came_from_what_a_user_said_and_a_week_of_calls_was_counted() -> None:
    call_command("seed_demo")
    made = Task.objects.exclude(message=None)
    assert made.exists() and not made.filter(created_at__lt=F("message__created_at")).exists()
    assert CallStatistics.objects.exclude(outcome="success").exists()
    assert len(last_used(AccessToken.objects.values_list("pk", flat=True))) == 5


def test_the_same_seed_gives_the_same_words() -> None:
    seen = []
    for seed in (7, 7, 8):
        call_command("seed_demo", seed=seed)
        seen.append(words())
        Task.objects.all().delete()
        Conversation.objects.all().delete()
        User.objects.all().delete()
    assert seen[0] == seen[1] != seen[2]


def test_it_refuses_where_the_demo_users_exist_and_adds_more_when_forced() -> None:
    call_command("seed_demo")
    with pytest.raises(CommandError, match="alice, bob, charlie, dave, erin exist already"):
        call_command("seed_demo")
    call_command("seed_demo", force=True)
    assert User.objects.count() == 5 and Task.objects.count() >= 360


def test_it_refuses_in_production_unless_forced(settings: Settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="production"):
        call_command("seed_demo")
    assert not User.objects.exists()
    call_command("seed_demo", force=True)
