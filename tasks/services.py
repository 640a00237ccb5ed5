"""The five operations on tasks. Each is one tool, one transaction, and scoped to one user in its query.

The docstring of an operation is the description that a language model reads.
"""

from typing import NamedTuple

import psycopg
from django.db import IntegrityError
from django.utils import timezone

from tasks import queries
from tasks.lists.services import list_tasks as list_tasks
from tasks.models import Task
from tasks.schemas import (
    Clear,
    ConversationId,
    Description,
    IdempotencyKey,
    MessageId,
    TaskAdded,
    TaskCompleted,
    TaskDeleted,
    TaskId,
    TaskUpdated,
    Title,
)
from todo_mcp.core.errors import ConversationNotFound, InvalidArguments, TaskNotFound, UserNotFound
from todo_mcp.core.operations import operation
from todo_mcp.idempotency.services import run_once

CONVERSATION_OF_USER = "tasks_conversation_user"  # the foreign key, made in migration 0001


@operation(
    title="Add a task",
    scope="tasks:write",
    example={"title": "Call the bank", "description": "On Friday, before noon"},
    needs_scope={"conversation_id": "conversations:read", "message_id": "conversations:read"},
)
def add_task(
    *,
    user_id: str,
    title: Title,
    description: Description = "",
    idempotency_key: IdempotencyKey | None = None,
    conversation_id: ConversationId | None = None,
    message_id: MessageId | None = None,
) -> TaskAdded:
    """Add one task to the person's list.

    Use it when the person asks to be reminded of something or to note something to do. Put dates, times and
    details into the description in words; there is no due-date field. To add several tasks, call it once for each.
    Send an idempotency_key if you might repeat the call, so that a retry adds nothing twice.
    Returns the task_id, which the other tools need.
    """
    origin = _Origin(conversation_id, message_id)
    if idempotency_key is None:
        return _insert(user_id, title, description, origin)
    result, repeated = run_once(
        user_id=user_id,
        operation="add_task",
        key=idempotency_key,
        arguments=[title, description, *origin],
        work=lambda: _insert(user_id, title, description, origin).model_dump(mode="json"),
    )
    return TaskAdded(**result, repeated=repeated)


operation(
    title="List tasks",
    scope="tasks:read",
    read_only=True,
    idempotent=True,
    example={"status": "pending", "due": "..today", "detail": "short"},
)(list_tasks)


@operation(title="Complete a task", scope="tasks:write", idempotent=True, example={"task_id": 7})
def complete_task(*, user_id: str, task_id: TaskId) -> TaskCompleted:
    """Mark one task as done.

    Use it when the person says that something is finished. Completing a task that is already completed succeeds and
    changes nothing. The task stays in the list with completed set to true; use delete_task to take it out.
    """
    now = timezone.now()
    if rows := queries.complete_task(user_id=user_id, task_id=task_id, now=now):
        return TaskCompleted(task_id=task_id, title=rows[0][0], updated_at=now)
    if rows := queries.get_task(user_id=user_id, task_id=task_id):
        return TaskCompleted(task_id=task_id, title=rows[0][0], updated_at=rows[0][1], repeated=True)
    raise TaskNotFound(task_id)


@operation(title="Delete a task", scope="tasks:write", destructive=True, idempotent=True, example={"task_id": 7})
def delete_task(*, user_id: str, task_id: TaskId) -> TaskDeleted:
    """Take one task out of the list.

    Use it when the person wants a task gone, not when it is done: then use complete_task. Make sure of the task_id with
    list_tasks first. An operator can bring a deleted task back for 30 days; you cannot.
    """
    rows = queries.delete_task(user_id=user_id, task_id=task_id, now=timezone.now())
    if not rows:
        raise TaskNotFound(task_id)
    return TaskDeleted(task_id=task_id, title=rows[0][0])


@operation(
    title="Update a task",
    scope="tasks:write",
    destructive=True,
    example={"task_id": 7, "title": "Call the bank about the card"},
    at_least_one=("title", "description", "clear"),
    cleared_alone=("description",),
)
def update_task(
    *,
    user_id: str,
    task_id: TaskId,
    title: Title | None = None,
    description: Description | None = None,
    clear: Clear | None = None,
) -> TaskUpdated:
    """Change the title, the description or both of one task.

    Give only what changes: a field that you leave out keeps its value. To empty the description, name it in clear. Make
    sure of the task_id with list_tasks first. To mark a task as done use complete_task.
    """
    if clear and description is not None:
        raise InvalidArguments({"clear": "names description, which this call also sets; send one of the two"})
    sent = {"title": title, "description": "" if clear else description}
    values = {name: value for name, value in sent.items() if value is not None}
    now = timezone.now()
    if rows := queries.update_task[tuple(values)](user_id=user_id, task_id=task_id, now=now, **values):
        new_title, *are_changed, _ = rows[0]
        fields = [name for name, is_changed in zip(values, are_changed, strict=True) if is_changed]
        return TaskUpdated(task_id=task_id, title=new_title, updated_fields=fields, updated_at=now)
    if rows := queries.get_task(user_id=user_id, task_id=task_id):
        return TaskUpdated(task_id=task_id, title=rows[0][0], updated_fields=[], updated_at=rows[0][1])
    raise TaskNotFound(task_id)


def restore_task(*, user_id: str, task_id: int) -> None:
    """Bring a deleted task back into the list; for operators, not a tool.

    Raises:
        TaskNotFound: this user has no such deleted task.
    """
    deleted = Task.objects.filter(pk=task_id, user_id=user_id, deleted_at__isnull=False)
    if not deleted.update(deleted_at=None, updated_at=timezone.now()):
        raise TaskNotFound(task_id)


class _Origin(NamedTuple):
    """The conversation and the message that a task came from."""

    conversation_id: int | None
    message_id: int | None


def _insert(user_id: str, title: str, description: str, origin: _Origin) -> TaskAdded:
    _check_message(user_id, origin)
    now = timezone.now()
    try:
        rows = queries.add_task(user_id=user_id, title=title, description=description, now=now, **origin._asdict())
    except IntegrityError as error:  # a foreign key: no such conversation of this user, or the user was erased
        if origin.conversation_id and _constraint(error) == CONVERSATION_OF_USER:
            raise ConversationNotFound(origin.conversation_id) from None
        raise UserNotFound(user_id) from None
    return TaskAdded(task_id=rows[0][0], title=title, created_at=now)


def _constraint(error: IntegrityError) -> str | None:
    """The name of the violated constraint. Do not use the error's message: it quotes what callers sent."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


def _check_message(user_id: str, origin: _Origin) -> None:
    conversation_id, message_id = origin
    if message_id is None:
        return
    if conversation_id is None:
        raise InvalidArguments({"message_id": "needs the conversation_id too"})
    messages = Task._meta.get_field("message").related_model._default_manager
    if not messages.filter(pk=message_id, conversation_id=conversation_id, user_id=user_id).exists():
        raise InvalidArguments({"message_id": "is not a message of this conversation"})
