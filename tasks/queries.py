"""The statement of each operation, under the operation's name; scoped to one user and to tasks that are not deleted.

The filter of an UPDATE is its check: it changes no row if the task is another user's or does not exist.
"""

from django.db.models import BigIntegerField, DateTimeField, DurationField, F, Model, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Greatest

from tasks.models import Task
from todo_mcp.postgres.statements import USER_ID, Parameter, Statement, UserId, insert, select, update, update_changed

NOW = Parameter("now", DateTimeField())
CLOCK_ERROR = "interval '1 day'"  # a clock that jumped back by less changes no order
# Clocks jump back, and those of two machines differ. But a change never seems older than the one before.
_CHANGED = Greatest(NOW, F("updated_at"))


def _listed_tasks(user: UserId) -> QuerySet[Task]:
    return Task.objects.filter(user_id=user, deleted_at=None)


def _task(user: UserId) -> QuerySet[Task]:
    return _listed_tasks(user).filter(pk=Parameter("task_id"))


def _pending_task(user: UserId) -> QuerySet[Task]:
    return _task(user).filter(completed=False, repeat="")


def _task_with_room(user: UserId) -> QuerySet[Task]:
    """The task, if the quota allows one more version of it."""
    return _task(user).filter(version__lt=F("thinned") + Parameter("version_limit", BigIntegerField()))


def _added() -> Greatest:
    """The time of a new task. It is the user's newest, so that it is first in lists: lists of one time go by id."""
    error = RawSQL(CLOCK_ERROR, (), DurationField())  # noqa: S611 (a constant)
    is_later = {"created_at__gt": NOW, "created_at__lt": Cast(NOW, DateTimeField()) + error}
    later = Task.objects.filter(user_id=USER_ID, deleted_at=None, **is_later).order_by("-created_at")
    return Greatest(NOW, Subquery(later.values("created_at")[:1]))


def _plain_task(user: UserId) -> Model:
    fields = ("title", "description", "conversation_id", "message_id")
    return Task(user_id=user, **{name: Parameter(name) for name in fields}, created_at=_added(), updated_at=_added())


add_task = insert(
    _plain_task,
    ["id", "created_at"],
    fields=("user", "title", "description", "conversation", "message", "completed", "created_at", "updated_at"),
)
complete_task = update(
    _pending_task, ["title", "version", "updated_at"], completed=True, completed_at=_CHANGED, updated_at=_CHANGED
)
get_task = select(lambda user: _task(user).values_list("title", "version", "updated_at", "completed", "repeat"))
delete_task = update(
    _task, ["title", "version", "updated_at", "repeat", "completed"], deleted_at=_CHANGED, updated_at=_CHANGED
)
update_task: dict[tuple[str, ...], Statement] = {
    names: update_changed(_task_with_room, ["title", "version", "updated_at"], names, updated_at=_CHANGED)
    for names in (("title",), ("description",), ("title", "description"))
}
