"""The operations on tasks. Each is one tool, one transaction, and scoped to one user in its query.

The docstring of an operation is the description that a language model reads.
"""

from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from tasks.changes.adding import add
from tasks.changes.finishing import complete_tasks, delete_tasks
from tasks.changes.given import Given
from tasks.changes.updating import ANY_CHANGE, update_tasks
from tasks.clock import clock_of_refusal
from tasks.lists.services import list_tasks as list_tasks
from tasks.models import Task
from tasks.results import TaskAdded, TaskCompleted, TaskDeleted, TaskUpdated
from tasks.schemas import (
    Append,
    CheckedItems,
    Checklist,
    Clear,
    ConversationId,
    Description,
    Due,
    ExpectedVersion,
    IdempotencyKey,
    Match,
    MessageId,
    NewChecklist,
    NewDescription,
    NewDue,
    NewItems,
    NewPriority,
    NewRepeat,
    NewTags,
    NewTasks,
    NewTimeZone,
    NewTitle,
    Priority,
    RemovedItems,
    Reopen,
    Repeat,
    Restore,
    SomeTags,
    Tags,
    TaskChanges,
    TaskId,
    TaskIds,
    TimeZone,
    Title,
    UncheckedItems,
    Undo,
    UpdateKey,
)
from todo_mcp.core.errors import TaskNotFound
from todo_mcp.core.operations import operation

_CHATS = {"conversation_id": "conversations:read", "message_id": "conversations:read"}
_NO_ARGUMENTS = {
    "completed": "unknown argument; use complete_task, or reopen true to open a task again",
    "deleted": "unknown argument; use delete_task, or restore true to bring a task back",
}


@operation(
    title="Add tasks",
    scope="tasks:write",
    example={"title": "Call the bank", "due": "friday 9am"},
    quotas=("tasks", "bytes", "writes"),
    needs_scope=_CHATS,
    refusal_details=clock_of_refusal,
)
def add_task(
    *,
    user_id: str,
    own_zone: str = "",
    title: Title | None = None,
    due: Due | None = None,
    repeat: Repeat | None = None,
    tasks: NewTasks | None = None,
    priority: Priority | None = None,
    tags: Tags | None = None,
    checklist: Checklist | None = None,
    description: Description | None = None,
    time_zone: TimeZone | None = None,
    idempotency_key: IdempotencyKey | None = None,
    conversation_id: ConversationId | None = None,
    message_id: MessageId | None = None,
) -> TaskAdded:
    """Add a task, or several at once with tasks (then no title). For anything to do, buy or remember. Put the day into
    due and the rule into repeat, not into the title. Things for a list that exists already (shopping, packing) go to
    update_task add_items. If it may be there already, search first with list_tasks query. Returns task_id, due as
    understood, now and undo. Tell the person the day that was understood. The list rings no alarm: promise none unless
    your app sends reminders.
    """
    return add(Given(locals()))


operation(
    title="List tasks",
    scope="tasks:read",
    read_only=True,
    idempotent=True,
    example={"status": "pending", "due": "..today", "detail": "short"},
    refusal_details=clock_of_refusal,
)(list_tasks)


@operation(title="Complete tasks", scope="tasks:write", idempotent=True, example={"match": "bank"}, quotas=())
def complete_task(
    *,
    user_id: str,
    own_zone: str = "",
    match: Match | None = None,
    task_id: TaskId | None = None,
    task_ids: TaskIds | None = None,
    expected_version: ExpectedVersion | None = None,
) -> TaskCompleted:
    """Mark tasks as done, when the person says that something is finished. match saves a search: I did the bank thing
    is match bank. If several fit, nothing is done and data.candidates names them: ask, or send the task_id. A repeating
    task gets its next date: data.next. To leave out one date use update_task due skip; one thing of a list: update_task
    check. Not done after all: update_task undo or reopen. Returns task_id, next, undo.
    """
    return complete_tasks(Given(locals()))


@operation(
    title="Delete tasks", scope="tasks:write", destructive=True, idempotent=True, example={"task_id": 7}, quotas=()
)
def delete_task(
    *,
    user_id: str,
    own_zone: str = "",
    match: Match | None = None,
    task_id: TaskId | None = None,
    task_ids: TaskIds | None = None,
    expected_version: ExpectedVersion | None = None,
) -> TaskDeleted:
    """Put tasks into the trash for 30 days, when the person wants them gone. A repeating task ends for good; to leave
    out one date use update_task due skip. If several fit match, nothing is done and data.candidates names them. Before
    you delete many, tell the person how many and which. Returns task_id, undo.
    """
    return delete_tasks(Given(locals()))


@operation(
    title="Change tasks, undo",
    scope="tasks:write",
    destructive=True,
    example={"match": "bank", "due": "monday"},
    quotas=("bytes", "writes", "versions"),  # but restore and undo are never refused
    at_least_one=ANY_CHANGE,
    cleared_alone=("description",),
    no_arguments=_NO_ARGUMENTS,
    refusal_details=clock_of_refusal,
)
def update_task(
    *,
    user_id: str,
    own_zone: str = "",
    match: Match | None = None,
    task_id: TaskId | None = None,
    task_ids: TaskIds | None = None,
    due: NewDue | None = None,
    title: NewTitle | None = None,
    priority: NewPriority | None = None,
    append: Append | None = None,
    description: NewDescription | None = None,
    add_tags: SomeTags | None = None,
    remove_tags: SomeTags | None = None,
    tags: NewTags | None = None,
    add_items: NewItems | None = None,
    remove_items: RemovedItems | None = None,
    check: CheckedItems | None = None,
    uncheck: UncheckedItems | None = None,
    checklist: NewChecklist | None = None,
    repeat: NewRepeat | None = None,
    clear: Clear | None = None,
    reopen: Reopen | None = None,
    restore: Restore | None = None,
    undo: Undo | None = None,
    tasks: TaskChanges | None = None,
    idempotency_key: UpdateKey | None = None,
    expected_version: ExpectedVersion | None = None,
    time_zone: NewTimeZone | None = None,
) -> TaskUpdated:
    """Change, move, reopen or restore tasks, or take a call back. Only what you send changes; empty values are ignored:
    to empty a field name it in clear. task_ids get the same change; for different ones send tasks. A day without a time
    keeps the task's time; a time alone keeps its day. Move each from its own day: due +1 day. Moving one date of a
    repeating task leaves the rest as they are. If several fit match, nothing is done: see data.candidates. Returns
    task_id, updated_fields, due, undo.
    """
    return update_tasks(Given(locals()))


def restore_task(*, user_id: str, task_id: int) -> None:
    """Bring a deleted task back into the list; for operators, not a tool.

    Raises:
        TaskNotFound: this user has no such deleted task.
    """
    deleted = Task.objects.filter(pk=task_id, user_id=user_id, deleted_at__isnull=False)
    if not deleted.update(deleted_at=None, updated_at=Greatest(timezone.now(), F("updated_at"))):
        raise TaskNotFound(task_id)
