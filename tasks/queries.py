"""The statement of each operation, under the operation's name; scoped to one user and to tasks that are not deleted.

The filter of an UPDATE is its check: it changes no row if the task is another user's or does not exist.
"""

from typing import Any

from django.db.models import F, IntegerField, Model, QuerySet, Subquery
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan

from tasks.models import Task
from todo_mcp.postgres.statements import Parameter, Statement, UserId, insert, select, update, update_changed

LIST_FIELDS = ("id", "title", "description", "completed", "created_at", "updated_at")
TOTAL_MAX = 1_000  # tasks that a total counts
_STATUS_FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "pending": {"completed": False},
    "completed": {"completed": True},
}
NOW = Parameter("now")


def _listed_tasks(user: UserId) -> QuerySet[Task]:
    return Task.objects.filter(user_id=user, deleted_at=None)


def _task(user: UserId) -> QuerySet[Task]:
    return _listed_tasks(user).filter(pk=Parameter("task_id"))


def _pending_task(user: UserId) -> QuerySet[Task]:
    return _task(user).filter(completed=False, repeat="")


def _plain_task(user: UserId) -> Model:
    fields = ("title", "description", "conversation_id", "message_id")
    return Task(user_id=user, **{name: Parameter(name) for name in fields}, created_at=NOW, updated_at=NOW)


def _sorted_tasks(user: UserId, status: str) -> QuerySet[Task]:
    """The list, newest first.

    The status is not a parameter: given a parameter, PostgreSQL may assume that every task matches. It may then read
    all of a user's many tasks to find a few.
    """
    return _listed_tasks(user).filter(**_STATUS_FILTERS[status]).order_by("-created_at", "-id")


class _Count(Subquery):
    """The number of rows, at most ``TOTAL_MAX`` + 1.

    PostgreSQL counts them in their order, by the index that the page is read from. The limit is a subquery, so the
    planner does not see the number. It might otherwise expect most rows of a user, and read and sort them all.
    """

    template = f"(SELECT COUNT(*) FROM (%(subquery)s LIMIT (SELECT {TOTAL_MAX + 1})) AS counted)"  # noqa: S608 (a constant)
    output_field = IntegerField()


def _page(user: UserId, status: str, *, after: bool) -> QuerySet[Task, Any]:
    """A page of the list. Each row also has the number of tasks on all pages."""
    page = _sorted_tasks(user, status).annotate(count=_Count(_sorted_tasks(user, status).values("id")))
    if after:
        position = (Parameter("last_at"), Parameter("last_id"))
        page = page.filter(TupleLessThan(Tuple(F("created_at"), F("id")), position))
    return page.values_list(*LIST_FIELDS, "count")


def _list_tasks(status: str, *, after: bool) -> Statement:
    return select(lambda user: _page(user, status, after=after), limit="limit")


add_task = insert(
    _plain_task,
    ["id"],
    fields=("user", "title", "description", "conversation", "message", "completed", "created_at", "updated_at"),
)
list_tasks = {
    (status, after): _list_tasks(status, after=after) for status in _STATUS_FILTERS for after in (True, False)
}
complete_task = update(_pending_task, ["title", "version"], completed=True, completed_at=NOW, updated_at=NOW)
delete_task = update(_task, ["title", "version", "repeat", "completed"], deleted_at=NOW, updated_at=NOW)
update_task: dict[tuple[str, ...], Statement] = {
    names: update_changed(_task, ["title", "version"], names, updated_at=NOW)
    for names in (("title",), ("description",), ("title", "description"))
}
