"""The statements of the five operations; each is scoped to one user, and to tasks that are not deleted.

The filter of an UPDATE is its check: a task of somebody else, or none, is a row that is not there.
"""

from typing import Any

from django.db.models import F, IntegerField, Model, QuerySet, Subquery
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan
from django.db.models.functions import Coalesce

from tasks.models import Task
from todo_mcp.postgres.statements import Compiled, Parameter, insert, select, update

LISTED = ("id", "title", "description", "completed", "created_at", "updated_at")
COUNTED = 1_000  # tasks that a total counts
_STATES: dict[str, dict[str, Any]] = {"all": {}, "pending": {"completed": False}, "completed": {"completed": True}}
NOW = Parameter("now")


def _living() -> QuerySet[Task]:
    return Task.objects.filter(user_id=Parameter("user_id"), deleted_at=None)


def _one() -> QuerySet[Task]:
    return _living().filter(pk=Parameter("task_id"))


def _new() -> Model:
    fields = ("user_id", "title", "description", "conversation_id", "message_id")
    return Task(**{name: Parameter(name) for name in fields}, created_at=NOW, updated_at=NOW)


def _listed(status: str) -> QuerySet[Task]:
    """The list, newest first.

    The state is no parameter: of a value that it does not know PostgreSQL may believe that all tasks have it, and then
    it looks for the few of a big user among all of that user's.
    """
    return _living().filter(**_STATES[status]).order_by("-created_at", "-id")


class _Counted(Subquery):
    """How many rows there are, at most one more than COUNTED.

    They are counted in their order, by the index that the page is read from. The limit is a query, which PostgreSQL
    does not look into: of a number it may think that it takes most rows of a user, and read and sort them all.
    """

    template = f"(SELECT COUNT(*) FROM (%(subquery)s LIMIT (SELECT {COUNTED + 1})) AS counted)"  # noqa: S608 (a number of ours)
    output_field = IntegerField()


def _page(status: str, *, after: bool) -> QuerySet[Task, Any]:
    """A page of the list, with the count of all pages in each row."""
    page = _listed(status).annotate(count=_Counted(_listed(status).values("id")))
    if after:
        place = (Parameter("last_at"), Parameter("last_id"))
        page = page.filter(TupleLessThan(Tuple(F("created_at"), F("id")), place))
    return page.values_list(*LISTED, "count")


def _paging(status: str, *, after: bool) -> Compiled:
    return select(lambda: _page(status, after=after), limit="limit")


insert_task = insert(_new, ["id"])
page_of_tasks = {(status, after): _paging(status, after=after) for status in _STATES for after in (True, False)}
find_task = select(lambda: _one().values_list("title", "updated_at"))
complete_pending = update(
    lambda: _one().filter(completed=False), ["title"], completed=True, completed_at=NOW, updated_at=NOW
)
mark_deleted = update(_one, ["title"], deleted_at=NOW, updated_at=NOW)
# What is not given is null, and keeps its value.
change_task = update(
    _one,
    ["title"],
    title=Coalesce(Parameter("title", Task._meta.get_field("title")), F("title")),
    description=Coalesce(Parameter("description", Task._meta.get_field("description")), F("description")),
    updated_at=NOW,
)
