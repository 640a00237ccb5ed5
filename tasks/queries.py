"""The statements of the five operations; each is scoped to one user, and to tasks that are not deleted.

The filter of an UPDATE is its check: a task of somebody else, or none, is a row that is not there.
"""

from typing import Any

from django.db.models import Count, F, Model, QuerySet, Subquery
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan
from django.db.models.functions import Coalesce

from tasks.models import Task
from todo_mcp.compiled import Compiled, Parameter, insert, select, update

LISTED = ("id", "title", "description", "completed", "created_at", "updated_at")
NOW = Parameter("now")


def _living() -> QuerySet[Task]:
    return Task.objects.filter(user_id=Parameter("user_id"), deleted_at=None)


def _one() -> QuerySet[Task]:
    return _living().filter(pk=Parameter("task_id"))


def _new() -> Model:
    fields = ("user_id", "title", "description", "conversation_id", "message_id")
    return Task(**{name: Parameter(name) for name in fields}, created_at=NOW, updated_at=NOW)


def _page(*, by_state: bool, after: bool) -> QuerySet[Task, Any]:
    """A page of the list, newest first, with the total of all pages in each row."""
    tasks = _living()
    if by_state:
        tasks = tasks.filter(completed=Parameter("completed"))
    total = tasks.order_by().values("user_id").annotate(n=Count("pk")).values("n")
    page = tasks.order_by("-created_at", "-id").annotate(total=Subquery(total))
    if after:
        place = (Parameter("at"), Parameter("id"))
        page = page.filter(TupleLessThan(Tuple(F("created_at"), F("id")), place))
    return page.values_list(*LISTED, "total")


def _paging(*, by_state: bool, after: bool) -> Compiled:
    return select(lambda: _page(by_state=by_state, after=after), limit="limit")


insert_task = insert(_new, ["id"])
page_of_tasks = {
    (state, after): _paging(by_state=state, after=after) for state in (True, False) for after in (True, False)
}
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
