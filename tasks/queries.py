"""The statement of each operation, under the operation's name; scoped to one user and to tasks that are not deleted.

The filter of an UPDATE is its check: it changes no row if the task is another user's or does not exist.
"""

from django.db.models import BigIntegerField, F, Model, QuerySet

from tasks.models import Task
from todo_mcp.postgres.statements import Parameter, Statement, UserId, insert, select, update, update_changed

NOW = Parameter("now")


def _listed_tasks(user: UserId) -> QuerySet[Task]:
    return Task.objects.filter(user_id=user, deleted_at=None)


def _task(user: UserId) -> QuerySet[Task]:
    return _listed_tasks(user).filter(pk=Parameter("task_id"))


def _pending_task(user: UserId) -> QuerySet[Task]:
    return _task(user).filter(completed=False, repeat="")


def _task_with_room(user: UserId) -> QuerySet[Task]:
    """The task, if the quota allows one more version of it."""
    return _task(user).filter(version__lt=F("thinned") + Parameter("version_limit", BigIntegerField()))


def _plain_task(user: UserId) -> Model:
    fields = ("title", "description", "conversation_id", "message_id")
    return Task(user_id=user, **{name: Parameter(name) for name in fields}, created_at=NOW, updated_at=NOW)


add_task = insert(
    _plain_task,
    ["id"],
    fields=("user", "title", "description", "conversation", "message", "completed", "created_at", "updated_at"),
)
complete_task = update(_pending_task, ["title", "version"], completed=True, completed_at=NOW, updated_at=NOW)
get_task = select(lambda user: _task(user).values_list("title", "version", "updated_at", "completed", "repeat"))
delete_task = update(_task, ["title", "version", "repeat", "completed"], deleted_at=NOW, updated_at=NOW)
update_task: dict[tuple[str, ...], Statement] = {
    names: update_changed(_task_with_room, ["title", "version"], names, updated_at=NOW)
    for names in (("title",), ("description",), ("title", "description"))
}
