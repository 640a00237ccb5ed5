"""``seed_demo`` creates sample data, the same for the same seed. It refuses where the data would be in the way."""

import json
import re
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F, Q
from django.utils import timezone
from oauth2_provider.models import AccessToken
from pytest_django import Settings

from conversations.models import Conversation, Message
from tasks.models import Task, TaskEvent
from todo_mcp.dates.rules import Rule
from todo_mcp.dates.zones import find_zone
from todo_mcp.operators.demo_texts import USERS, ZONES
from todo_mcp.statistics.models import CallStatistics
from todo_mcp.statistics.token_use import last_used
from todo_mcp.users.models import User
from todo_mcp.users.services import create_user

pytestmark = pytest.mark.django_db


def all_texts() -> list[Any]:
    tasks = [(task.user_id, task.title, task.completed, bool(task.deleted_at)) for task in Task.objects.order_by("id")]
    return [*tasks, *Message.objects.order_by("id").values_list("user_id", "role", "content")]


def test_the_data_looks_like_real_use(capsys: pytest.CaptureFixture[str]) -> None:
    start = time.perf_counter()
    call_command("seed_demo")
    assert time.perf_counter() - start < 5
    assert re.match(r"Added 5 users, (1[89]|2\d)\d tasks, ", capsys.readouterr().out)
    assert set(User.objects.values_list("pk", flat=True)) == set(USERS)
    assert Task.objects.filter(completed=True).exists() and Task.objects.filter(completed=False).exists()
    assert Task.objects.filter(deleted_at__isnull=False).exists()
    assert not Task.objects.filter(updated_at__lt=F("created_at")).exists()
    assert not Conversation.objects.filter(messages=None).exists()


def test_the_tasks_have_what_people_write_down_with_days_around_today() -> None:
    call_command("seed_demo")
    assert set(User.objects.values_list("time_zone", flat=True)) == {*ZONES.values(), ""}
    open_tasks = Task.objects.filter(completed=False, deleted_at=None)
    now = timezone.now()
    for some in (
        Q(due_at__lt=now),
        Q(due_at__gt=now),
        Q(due_on__lt=now.date()),
        Q(due_on__gt=now.date()),
        Q(due_on=None, due_at=None),
        Q(priority=3),
        Q(priority=0),
        Q(tags__len__gt=1),
        Q(repeat__startswith="FREQ=WEEKLY", repeat_time__isnull=False),
        ~Q(checklist=[]),
    ):
        assert open_tasks.filter(some).exists(), some
    for task in Task.objects.exclude(repeat=""):
        zone = find_zone(task.repeat_zone or "UTC")
        due = task.due_at.astimezone(zone) if task.due_at else None
        assert (task.repeat_on, task.repeat_time) == ((due.date(), due.time()) if due else (task.due_on, None))
        assert (
            task.repeat_on
            and str(Rule.parse(task.repeat)) == task.repeat
            and Rule.parse(task.repeat).is_occurrence(task.repeat_on)
        )


def test_every_task_has_a_matching_history() -> None:
    call_command("seed_demo")
    assert not TaskEvent.objects.exclude(pgh_created_at=F("updated_at")).exists()
    assert all(event.pgh_context["user"] == event.user_id for event in TaskEvent.objects.all())
    assert TaskEvent.objects.filter(pgh_label="insert").count() == Task.objects.count()
    tools = set(TaskEvent.objects.values_list("pgh_context__tool", flat=True))
    assert tools == {"add_task", "update_task", "complete_task", "delete_task"}


def test_some_tasks_come_from_messages_and_calls_are_counted() -> None:
    call_command("seed_demo")
    tasks = Task.objects.exclude(message=None)
    assert tasks.exists() and not tasks.filter(created_at__lt=F("message__created_at")).exists()
    assert CallStatistics.objects.exclude(outcome="success").exists()
    assert len(last_used(AccessToken.objects.values_list("pk", flat=True))) == 5


def test_some_conversations_have_titles_and_some_are_what_an_agent_sdk_stores() -> None:
    call_command("seed_demo")
    assert Conversation.objects.filter(title=None).exists() and Conversation.objects.exclude(title=None).exists()
    items = [json.loads(message.item or "") for message in Message.objects.exclude(item=None)]
    calls = {item["call_id"] for item in items if item["type"] == "function_call"}
    assert calls == {item["call_id"] for item in items if item["type"] == "function_call_output"} != set()
    told = Conversation.objects.exclude(ref=None)
    assert told.exists() and not Message.objects.filter(conversation__in=told, ref=None).exists()


def test_the_same_seed_gives_the_same_texts() -> None:
    results = []
    for seed in (7, 7, 8):
        call_command("seed_demo", seed=seed)
        results.append(all_texts())
        Task.objects.all().delete()
        Conversation.objects.all().delete()
        User.objects.all().delete()
    assert results[0] == results[1] != results[2]


def test_it_refuses_if_the_demo_users_exist_and_adds_more_if_forced() -> None:
    call_command("seed_demo")
    with pytest.raises(CommandError, match="demo-alice, demo-bob, demo-charlie, demo-dave, demo-erin exist already"):
        call_command("seed_demo")
    call_command("seed_demo", force=True)
    assert User.objects.count() == 5 and Task.objects.count() >= 360


@pytest.mark.parametrize("force", [False, True])
def test_it_never_adds_to_a_person_with_the_id_of_a_demo_user(force: bool) -> None:
    create_user(user_id="demo-bob", email="bob@example.com")
    with pytest.raises(CommandError, match="Nothing was added: demo-bob is no demo user"):
        call_command("seed_demo", force=force)
    assert User.objects.count() == 1 and not Task.objects.exists()


def test_it_leaves_other_people_alone(alice: User) -> None:
    call_command("seed_demo")
    call_command("seed_demo", force=True)
    alice.refresh_from_db()
    assert not alice.tasks.exists() and User.objects.count() == 6


def test_it_refuses_in_production_unless_forced(settings: Settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="production"):
        call_command("seed_demo")
    assert not User.objects.exists()
    call_command("seed_demo", force=True)
