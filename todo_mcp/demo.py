"""Demo data that looks alive: a few users, five weeks of their tasks with a history, and conversations.

The same seed gives the same words; the times are counted back from now.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from conversations.models import Conversation, Message
from tasks.models import Task, TaskEvent
from todo_mcp.auth.tokens import issue_token
from todo_mcp.demo_texts import CLIENTS, CONVERSATIONS, EDITS, TASKS, USERS
from todo_mcp.history import history_context
from todo_mcp.users.models import User
from todo_mcp.users.services import create_user

AGE = timedelta(weeks=5)  # of the oldest task or conversation
TASKS_EACH = 36
CONVERSATIONS_EACH = 6


def demo_users() -> list[str]:
    """The ids of the demo users that exist."""
    return list(User.objects.filter(pk__in=USERS).values_list("pk", flat=True))


@transaction.atomic
def seed_demo(*, seed: int) -> dict[str, int]:
    """Add the demo users that are missing, and to each of them tasks and conversations. Returns how many of what."""
    chance = random.Random(seed)  # noqa: S311 (the same data for the same seed; nothing secret)
    now = timezone.now()
    missing = sorted(set(USERS) - set(demo_users()))
    for user_id in missing:
        create_user(user_id=user_id, name=USERS[user_id], email=f"{user_id}@example.com")
        issue_token(user_id=user_id, name="laptop", expires_in=timedelta(days=90))
    tasks = _add_tasks(chance, now)
    messages = _add_conversations(chance, now)
    return {"users": len(missing), "tasks": tasks, "messages": messages}


def _add_tasks(chance: random.Random, now: datetime) -> int:
    """What the users did. Each step is one statement, recorded by the triggers; its time and user are set after."""

    def step(tool: str, tasks: list[Task], change: Callable[[Task], object], fields: list[str]) -> None:
        for task in tasks:
            task.updated_at += (now - task.updated_at) * chance.random()
            change(task)
        with history_context(user=None, tool=tool):
            Task.objects.bulk_update(tasks, [*fields, "updated_at"])

    fresh = [_task(chance, user_id, now) for user_id in USERS for _ in range(TASKS_EACH)]
    with history_context(user=None, tool="add_task"):
        tasks = Task.objects.bulk_create(sorted(fresh, key=lambda task: task.created_at))
    step("update_task", _some(chance, tasks, 0.2), lambda task: _edit(chance, task), ["title"])
    step("complete_task", _some(chance, tasks, 0.55), _complete, ["completed", "completed_at"])
    step("delete_task", _some(chance, tasks, 0.12), _delete, ["deleted_at"])
    _backdate(chance, tasks)
    return len(tasks)


def _backdate(chance: random.Random, tasks: list[Task]) -> None:
    """Give each event the time at which it is said to have happened, and the user and client that did it."""
    events = list(TaskEvent.objects.filter(pgh_obj__in=tasks).order_by("pgh_id"))
    for event in events:
        event.pgh_created_at = event.updated_at
        event.pgh_context |= {
            "user": event.user_id,
            "client": chance.choice(CLIENTS),
            "token_name": "laptop",
            "request_id": UUID(int=chance.getrandbits(128), version=4).hex,
        }
    TaskEvent.objects.bulk_update(events, ["pgh_created_at", "pgh_context"])


def _task(chance: random.Random, user_id: str, now: datetime) -> Task:
    title, description = chance.choice(TASKS)
    when = now - AGE * chance.random()
    return Task(user_id=user_id, title=title, description=description, created_at=when, updated_at=when)


def _edit(chance: random.Random, task: Task) -> None:
    task.title += chance.choice(EDITS)


def _complete(task: Task) -> None:
    task.completed, task.completed_at = True, task.updated_at


def _delete(task: Task) -> None:
    task.deleted_at = task.updated_at


def _some(chance: random.Random, tasks: list[Task], share: float) -> list[Task]:
    return [task for task in tasks if chance.random() < share]


def _add_conversations(chance: random.Random, now: datetime) -> int:
    """The users' chats; the turns of each are a minute or so apart. Returns how many messages."""
    begun = sorted((now - AGE * chance.random(), user_id) for user_id in USERS for _ in range(CONVERSATIONS_EACH))
    chats = [Conversation(user_id=user_id, created_at=when, updated_at=when) for when, user_id in begun]
    messages = []
    for chat in chats:
        for number, content in enumerate(chance.choice(CONVERSATIONS)):
            role = Message.Role.ASSISTANT if number % 2 else Message.Role.USER
            chat.updated_at += timedelta(seconds=chance.randint(4, 90))
            messages.append(
                Message(conversation=chat, user_id=chat.user_id, role=role, content=content, created_at=chat.updated_at)
            )
    Conversation.objects.bulk_create(chats)
    return len(Message.objects.bulk_create(messages))
