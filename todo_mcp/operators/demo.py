"""Realistic demo data: users, five weeks of tasks with history, conversations, and a week of call statistics.

The same seed gives the same texts. Times are relative to now.
"""

import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from conversations.models import Conversation, Message
from tasks.models import Task, TaskEvent
from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.dates.rules import Rule
from todo_mcp.dates.zones import at, find_zone
from todo_mcp.operators.calls.demo import add_demo_calls
from todo_mcp.operators.demo_texts import (
    CHECKLISTS,
    CLIENTS,
    CONVERSATIONS,
    EDITS,
    REPEATS,
    STEPS,
    TAGS,
    TASKS,
    TASKS_FROM_MESSAGES,
    TITLES,
    USERS,
    ZONES,
)
from todo_mcp.postgres.history import history_context
from todo_mcp.statistics.models import CallStatistics
from todo_mcp.statistics.token_days import DAY, Counts, write_days
from todo_mcp.statistics.token_use import write_uses
from todo_mcp.users.models import User
from todo_mcp.users.services import create_user

AGE = timedelta(weeks=5)  # the greatest age of a task or conversation
TASKS_EACH = 36
CONVERSATIONS_EACH = 6
EDITED = ["title", "priority", "due_on", "checklist"]  # the fields that an edit may change
TIMES = (None, None, time(9), time(12, 30), time(18))  # of due dates
NEW_EACH = timedelta(days=7)  # from the creation of one user to the next


def existing_users() -> dict[str, bool]:
    """For each id of a demo user that exists: whether it is a demo user. A person may have the same id."""
    users = User.objects.filter(pk__in=USERS).order_by("pk").values_list("pk", "email")
    return {user_id: email == _email(user_id) for user_id, email in users}


@transaction.atomic
def seed_demo(*, seed: int) -> dict[str, int]:
    """Create the missing demo users, and add tasks and conversations to every demo user.

    None of these ids may be a person's: see ``existing_users``. Returns the numbers of ``users``, ``tasks`` and
    ``messages`` that were added.
    """
    rng = random.Random(seed)  # noqa: S311 (repeatable demo data; nothing secret)
    now = timezone.now()
    missing = sorted(set(USERS) - set(existing_users()))
    for number, user_id in enumerate(missing):
        zone = ZONES.get(user_id, "")  # one of them has not said where she lives
        create_user(user_id=user_id, name=USERS[user_id], email=_email(user_id), time_zone=zone)
        User.objects.filter(pk=user_id).update(created_at=now - AGE + number * NEW_EACH)
        record = find_token(issue_token(user_id=user_id, name="laptop", expires_in=timedelta(days=90)))
        assert record is not None
        write_uses({record.pk: now - timedelta(hours=30) * rng.random()})
        write_days(_token_days(rng, record.pk, user_id, now))
    messages = _add_conversations(rng, now)
    tasks = _add_tasks(rng, now, messages)
    if not CallStatistics.objects.exists():  # do not mix demo data with a server's real counts
        add_demo_calls(rng, now)
    return {"users": len(missing), "tasks": tasks, "messages": len(messages)}


def _email(user_id: str) -> str:
    return f"{user_id}@demo.invalid"  # RFC 2606: nobody can have this address


def _add_tasks(rng: random.Random, now: datetime, messages: list[Message]) -> int:
    """Add tasks and change some of them. Triggers record each step; its time and user are set afterwards."""

    def step(tool: str, tasks: list[Task], change: Callable[[Task], object], fields: list[str]) -> None:
        for task in tasks:
            task.updated_at += (now - task.updated_at) * rng.random()
            change(task)
        with history_context(user=None, tool=tool):
            Task.objects.bulk_update(tasks, [*fields, "updated_at"])

    new_tasks = [_task(rng, user_id, now) for user_id in USERS for _ in range(TASKS_EACH)]
    new_tasks += [task for message in messages for task in _tasks_from(message)]
    with history_context(user=None, tool="add_task"):
        tasks = Task.objects.bulk_create(sorted(new_tasks, key=lambda task: task.created_at))
    step("update_task", _some(rng, tasks, 0.2), lambda task: _edit(rng, task), EDITED)
    once = [task for task in tasks if not task.repeat]
    step("complete_task", _some(rng, once, 0.55), _complete, ["completed", "completed_at"])
    step("delete_task", _some(rng, tasks, 0.12), _delete, ["deleted_at"])
    _backdate(rng, tasks)
    return len(tasks)


def _backdate(rng: random.Random, tasks: list[Task]) -> None:
    """Give each history event its simulated time, user and client."""
    events = list(TaskEvent.objects.filter(pgh_obj__in=tasks).order_by("pgh_id"))
    for event in events:
        event.pgh_created_at = event.updated_at
        event.pgh_context |= {
            "user": event.user_id,
            "client": rng.choice(CLIENTS),
            "token_name": "laptop",
            "request_id": UUID(int=rng.getrandbits(128), version=4).hex,
        }
    TaskEvent.objects.bulk_update(events, ["pgh_created_at", "pgh_context"])


def _task(rng: random.Random, user_id: str, now: datetime) -> Task:
    title, description = rng.choice(TASKS)
    when = now - AGE * rng.random()
    task = Task(user_id=user_id, title=title, description=description, created_at=when, updated_at=when)
    _plan(rng, task, now)
    return task


def _plan(rng: random.Random, task: Task, now: datetime) -> None:
    """Give the task a day or a moment around now, and what else people write down."""
    zone = find_zone(ZONES.get(task.user_id) or "UTC")
    today = now.astimezone(zone).date()
    local = rng.choice(TIMES)
    task.tags = TAGS.get(task.title, [])
    task.priority = rng.choice((0, 0, 0, 0, 1, 2, 2, 3))
    task.checklist = [{"text": text, "done": rng.random() < 0.4} for text in CHECKLISTS.get(task.title, [])]
    day = today + timedelta(days=rng.randint(-6, 12)) if rng.random() < 0.6 else None
    if task.title in REPEATS:
        day = Rule.parse(REPEATS[task.title]).first(today)
        task.repeat, task.repeat_on = REPEATS[task.title], day
        task.repeat_time, task.repeat_zone = local, str(zone) if local else ""
    if day and local:
        task.due_at = at(day, local, zone)
    else:
        task.due_on = day


def _tasks_from(message: Message) -> list[Task]:
    """The tasks that an agent added after this message of a user."""
    when = message.created_at + timedelta(seconds=3)
    origin = {"user_id": message.user_id, "conversation": message.conversation, "message": message}
    titles = TASKS_FROM_MESSAGES.get(message.content, [])
    return [Task(title=t, description=dict(TASKS)[t], created_at=when, updated_at=when, **origin) for t in titles]


def _edit(rng: random.Random, task: Task) -> None:
    """Change the title, or what else is easy to change."""
    if task.checklist:
        task.checklist = [{**item, "done": True} for item in task.checklist]
    elif task.due_on and not task.repeat:
        task.due_on += timedelta(days=1)
    elif rng.random() < 0.3:
        task.priority = 3
    else:
        task.title += rng.choice(EDITS)


def _complete(task: Task) -> None:
    task.completed, task.completed_at = True, task.updated_at


def _delete(task: Task) -> None:
    task.deleted_at = task.updated_at


def _some(rng: random.Random, tasks: list[Task], share: float) -> list[Task]:
    return [task for task in tasks if rng.random() < share]


def _add_conversations(rng: random.Random, now: datetime) -> list[Message]:
    """Add conversations, with 4 to 90 seconds between messages. Returns the messages."""
    starts = sorted((now - AGE * rng.random(), user_id) for user_id in USERS for _ in range(CONVERSATIONS_EACH))
    chats = [Conversation(user_id=user_id, created_at=when, updated_at=when) for when, user_id in starts]
    messages = [message for chat in chats for message in _messages(rng, chat, rng.choice(CONVERSATIONS))]
    Conversation.objects.bulk_create(chats)
    return Message.objects.bulk_create(messages)


def _messages(rng: random.Random, chat: Conversation, texts: list[str]) -> Iterator[Message]:
    """The messages of the conversation. One in which tools were called is as an agent SDK stores it, with its ids."""
    chat.title = TITLES.get(texts[0])
    has_calls = any(text in STEPS for text in texts)
    if has_calls:
        chat.ref, chat.metadata = _new_ref("thread"), _compact({"model": "demo-1", "channel": "web"})
    for number, text in enumerate(texts):
        role = Message.Role.ASSISTANT if number % 2 else Message.Role.USER
        for content, item in [*STEPS.get(text, []), (text, None)]:
            chat.updated_at += timedelta(seconds=rng.randint(4, 90))
            message = Message(conversation=chat, user_id=chat.user_id, role=role, content=content)
            message.created_at, message.item = chat.updated_at, _compact(item) if item else None
            message.ref = _new_ref("msg") if has_calls else None
            yield message


def _new_ref(prefix: str) -> str:
    """A new name on each run, because a second run with the same seed must not meet the names of the first."""
    return f"{prefix}_{uuid4().hex[:16]}"


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _token_days(rng: random.Random, token_id: int, user_id: str, now: datetime) -> Counts:
    """A week of calls with a token."""
    today = int(now.timestamp()) // DAY
    return {
        (token_id, user_id, today - n): {
            client: [rng.randint(5, 40), rng.randint(0, 12), rng.choice((0, 0, 0, 2)), 0] for client in CLIENTS[:2]
        }
        for n in range(7)
    }
