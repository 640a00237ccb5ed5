"""Demo data that looks alive: users, five weeks of their tasks with a history, conversations, and a week of calls.

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
from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.operators.demo_texts import CALLS, CLIENTS, CONVERSATIONS, EDITS, MADE, TASKS, USERS
from todo_mcp.postgres.history import history_context
from todo_mcp.statistics.models import CallStatistics
from todo_mcp.statistics.token_use import write_uses
from todo_mcp.users.models import User
from todo_mcp.users.services import create_user

AGE = timedelta(weeks=5)  # of the oldest task or conversation
TASKS_EACH = 36
CONVERSATIONS_EACH = 6
CALL_DAYS = 7
NEW_EACH = timedelta(days=7)  # between one user and the next


def demo_users() -> list[str]:
    """The ids of the demo users that exist."""
    return list(User.objects.filter(pk__in=USERS).values_list("pk", flat=True))


@transaction.atomic
def seed_demo(*, seed: int) -> dict[str, int]:
    """Add the demo users that are missing, and to each of them tasks and conversations. Returns how many of what."""
    chance = random.Random(seed)  # noqa: S311 (the same data for the same seed; nothing secret)
    now = timezone.now()
    missing = sorted(set(USERS) - set(demo_users()))
    for number, user_id in enumerate(missing):
        create_user(user_id=user_id, name=USERS[user_id], email=f"{user_id}@example.com")
        User.objects.filter(pk=user_id).update(created_at=now - AGE + number * NEW_EACH)
        record = find_token(issue_token(user_id=user_id, name="laptop", expires_in=timedelta(days=90)))
        assert record is not None
        write_uses({record.pk: now - timedelta(hours=30) * chance.random()})
    messages = _add_conversations(chance, now)
    tasks = _add_tasks(chance, now, messages)
    if not CallStatistics.objects.exists():  # what a server counted is not for us to mix with
        _add_calls(chance, now)
    return {"users": len(missing), "tasks": tasks, "messages": len(messages)}


def _add_tasks(chance: random.Random, now: datetime, messages: list[Message]) -> int:
    """What the users did. Each step is one statement, recorded by the triggers; its time and user are set after."""

    def step(tool: str, tasks: list[Task], change: Callable[[Task], object], fields: list[str]) -> None:
        for task in tasks:
            task.updated_at += (now - task.updated_at) * chance.random()
            change(task)
        with history_context(user=None, tool=tool):
            Task.objects.bulk_update(tasks, [*fields, "updated_at"])

    fresh = [_task(chance, user_id, now) for user_id in USERS for _ in range(TASKS_EACH)]
    fresh += [task for message in messages for task in _made(message)]
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


def _made(message: Message) -> list[Task]:
    """The tasks that an agent added after a user said this."""
    when = message.created_at + timedelta(seconds=3)
    origin = {"user_id": message.user_id, "conversation": message.conversation, "message": message}
    titles = MADE.get(message.content, [])
    return [Task(title=t, description=dict(TASKS)[t], created_at=when, updated_at=when, **origin) for t in titles]


def _edit(chance: random.Random, task: Task) -> None:
    task.title += chance.choice(EDITS)


def _complete(task: Task) -> None:
    task.completed, task.completed_at = True, task.updated_at


def _delete(task: Task) -> None:
    task.deleted_at = task.updated_at


def _some(chance: random.Random, tasks: list[Task], share: float) -> list[Task]:
    return [task for task in tasks if chance.random() < share]


def _add_conversations(chance: random.Random, now: datetime) -> list[Message]:
    """The users' chats; the turns of each are a minute or so apart. Returns the messages."""
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
    return Message.objects.bulk_create(messages)


def _add_calls(chance: random.Random, now: datetime) -> None:
    """A week of what a server counts, busier by day than by night."""
    rows = []
    for hour in (now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=n) for n in range(24 * CALL_DAYS)):
        busy = 1.0 if 7 <= hour.hour < 21 else 0.1
        for tool, (often, milliseconds, outcomes) in CALLS.items():
            for client in CLIENTS:
                calls = round(often * busy * chance.random())
                others = {
                    outcome: sum(chance.random() < share for _ in range(calls)) for outcome, share in outcomes.items()
                }
                for outcome, count in {"success": calls - sum(others.values()), **others}.items():
                    if count > 0:
                        rows.append(_counted(chance, hour, tool, outcome, client, count, milliseconds))
    CallStatistics.objects.bulk_create(rows)


def _counted(
    chance: random.Random, hour: datetime, tool: str, outcome: str, client: str, calls: int, milliseconds: float
) -> CallStatistics:
    return CallStatistics(
        hour=hour,
        tool=tool,
        outcome=outcome,
        client=client,
        revision="2026-07-28",
        transport="mcp",
        calls=calls,
        milliseconds_total=calls * milliseconds * (0.8 + 0.4 * chance.random()),
        milliseconds_max=milliseconds * (1 + chance.expovariate(0.3)),
        slowest_request_id=UUID(int=chance.getrandbits(128), version=4).hex,
    )
