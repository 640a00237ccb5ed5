"""The statement of a list without filters by field: all, pending or completed tasks, newest first."""

from typing import Any

from django.db.models import F, IntegerField, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan
from django.db.models.functions import NullIf

from tasks.lists.statement import TOTAL_MAX
from tasks.models import Task
from tasks.rows import COLUMNS, USUAL
from todo_mcp.core.pagination import Position
from todo_mcp.postgres.statements import Parameter, Statement, UserId, select

_STATUS_FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "pending": {"completed": False},
    "completed": {"completed": True},
}


def read_plain(user_id: str, status: str, position: Position | None, limit: int) -> tuple[list[tuple[Any, ...]], int]:
    """The rows of ``COLUMNS`` and a count, one more than the limit if there are more; and the total."""
    place = {"last_at": position.at, "last_id": position.id} if position else {}
    rows = _STATEMENTS[status, position is not None](user_id=user_id, **place, limit=limit + 1)
    # The count is in each row. An empty page has no row, so take the count from the first page.
    counted = rows or (_STATEMENTS[status, False](user_id=user_id, limit=1) if position else [])
    return rows, counted[0][-1] if counted else 0


def _sorted_tasks(user: UserId, status: str) -> QuerySet[Task]:
    """The list, newest first.

    The status is not a parameter: given a parameter, PostgreSQL may assume that every task matches. It may then read
    all of a user's many tasks to find a few.
    """
    tasks = Task.objects.filter(user_id=user, deleted_at=None, **_STATUS_FILTERS[status])
    return tasks.order_by("-created_at", "-id")


class _Count(Subquery):
    """The number of rows, at most ``TOTAL_MAX`` + 1.

    PostgreSQL counts them in their order, by the index that the page is read from. The limit is a subquery, so the
    planner does not see the number. It might otherwise expect most rows of a user, and read and sort them all.
    """

    template = f"(SELECT COUNT(*) FROM (%(subquery)s LIMIT (SELECT {TOTAL_MAX + 1})) AS counted)"
    output_field = IntegerField()


def _page(user: UserId, status: str, *, after: bool) -> QuerySet[Task, Any]:
    """A page of the list. Each row also has the number of tasks on all pages."""
    page = _sorted_tasks(user, status).annotate(count=_Count(_sorted_tasks(user, status).values("id")))
    if after:
        position = (Parameter("last_at"), Parameter("last_id"))
        page = page.filter(TupleLessThan(Tuple(F("created_at"), F("id")), position))
    return page.values_list(*map(_column, COLUMNS), "count")


def _column(name: str) -> str | NullIf:
    return NullIf(F(name), RawSQL(USUAL[name], ())) if name in USUAL else name  # noqa: S611 (a constant)


def _statement(status: str, *, after: bool) -> Statement:
    return select(lambda user: _page(user, status, after=after), limit="limit")


_STATEMENTS = {
    (status, after): _statement(status, after=after) for status in _STATUS_FILTERS for after in (True, False)
}
