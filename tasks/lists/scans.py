"""How a list is read: which index gives which rows in which order."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.lists.filters import LISTED
from tasks.lists.shapes import Shape

_STATE = {"pending": "t.completed = false", "completed": "t.completed = true"}
_LISTED = "t.deleted_at IS NULL"
_STATUS = {
    "pending": f"{_LISTED} AND {_STATE['pending']}",
    "completed": f"{_LISTED} AND {_STATE['completed']}",
    "all": _LISTED,
    "deleted": "t.deleted_at IS NOT NULL",
    "any": "true",
}
_NEWEST = "t.created_at DESC, t.id DESC"
_BEFORE = "(t.created_at, t.id) < (%(after_at)s::timestamptz, %(after_id)s::bigint)"
_CREATED = "t.created_at >= %(created_start)s::timestamptz AND t.created_at < %(created_end)s::timestamptz"
_DONE = "t.completed_at >= %(completed_start)s::timestamptz AND t.completed_at < %(completed_end)s::timestamptz"
_DUE_ON = "t.due_on >= %(due_first)s::date AND t.due_on <= %(due_last)s::date"
_DUE_AT = "t.due_at >= %(due_start)s::timestamptz AND t.due_at < %(due_end)s::timestamptz"
_NO_DUE = "t.due_on IS NULL AND t.due_at IS NULL"
_PRIORITY = "t.priority = %(priority)s::smallint"
_TAG = "t.tag = tasks_lower(%(tag)s::text)"
OF_USER = "t.user_id = (SELECT id FROM me)"
# What tasks_found compares, for one task.
_FOUND = (
    "(SELECT words LIKE ALL (tasks_patterns(%(terms)s::text[])) "
    "AND words NOT LIKE ALL (tasks_patterns(%(without)s::text[])) "
    "FROM tasks_words(t.title, t.description, t.tags, t.checklist) words) "
    "AND (%(tag)s::text IS NULL OR tasks_has_tag(t.tags, %(tag)s::text))"
)


def task_of(id_sql: str) -> str:
    """The user's task with this id, to be joined as ``t`` for each row. LIMIT keeps the order of these rows."""
    return f"LATERAL (SELECT * FROM tasks t WHERE t.id = {id_sql} AND {OF_USER} LIMIT 1) t"


@dataclass(frozen=True)
class Scan:
    """Rows of an index in its order.

    ``index`` is the condition of the index, and which of its parts is read. ``where`` selects rows there. ``check`` is
    what no index serves. ``serves`` names the filters that these contain. Scans of a later ``group`` come after all
    rows of the earlier ones. The index is one of ``tasks``, or that of ``task_tags`` if the scan ``is_by_tag``.
    """

    index: str
    where: tuple[str, ...]
    order: str
    serves: frozenset[str] = frozenset({"status"})
    check: tuple[str, ...] = ()
    group: int = 0
    is_by_tag: bool = False

    def ids(self, columns: str, limit: str, *, guard: str = "") -> str:
        """Columns from the first rows of the scan. ``t.id`` is the id of the task."""
        table = "(SELECT *, task_id AS id FROM task_tags) t" if self.is_by_tag else "tasks t"
        where = " AND ".join([OF_USER, self.index, *self.where])
        return f"SELECT {columns} FROM {table} WHERE {where}{guard} ORDER BY {self.order} LIMIT {limit}"

    def rows(self, limit: str, *, guard: str = "") -> str:
        """The tasks of the first rows of the scan."""
        if not self.is_by_tag:
            return self.ids("*", limit, guard=guard)
        return f"SELECT t.* FROM ({self.ids('t.id', limit, guard=guard)}) tagged CROSS JOIN {task_of('tagged.id')}"


def conditions(shape: Shape) -> dict[str, str]:
    """The condition of each filter, by the filter's name."""
    wanted = {
        "status": _STATUS[shape.status],
        "is_open": "NOT t.completed" if shape.is_open else "",
        "due": {"span": f"({_DUE_ON} OR {_DUE_AT})", "none": _NO_DUE, "": ""}[shape.due],
        "completed_on": _DONE if shape.completed_on else "",
        "created_on": _CREATED if shape.created_on else "",
        "priority": {"set": _PRIORITY, "none": "t.priority = 0", "": ""}[shape.priority],
        "task_id": "t.id = %(task_id)s::bigint" if shape.task_id else "",
        "tag": "tasks_has_tag(t.tags, %(tag)s::text)" if shape.tag else "",
        "search": _FOUND if shape.search else "",
    }
    return {name: sql for name, sql in wanted.items() if sql}


def newest_scans(shape: Shape) -> list[Scan]:
    """All tasks of the status and of the tag or the priority, newest first, in one scan or two."""
    created = (_CREATED,) if shape.created_on else ()
    serves = frozenset({"status", "created_on"})
    if shape.tag:
        by_tag = Scan(_TAG, created, _NEWEST, serves | {"tag"}, is_by_tag=True)
        return [replace(by_tag, where=(_STATE[state], *created)) for state in _states(shape)]
    if shape.priority == "set" and shape.status in LISTED:
        scans = [_of_priority(state, _PRIORITY, *created) for state in _states(shape)]
        return [replace(scan, serves=scan.serves | serves) for scan in scans]
    if shape.status == "any":
        return [Scan(_STATUS[status], created, _NEWEST, serves) for status in ("all", "deleted")]
    return [Scan(_STATUS[shape.status], created, _NEWEST, serves)]


def narrow_scans(shape: Shape) -> list[Scan]:
    """The tasks among which the list is sorted, if they are few. Empty if the order of the list has a fitting index."""
    is_listed = shape.status in LISTED
    if shape.task_id:
        return [Scan("t.id = %(task_id)s::bigint", (), "t.id", frozenset({"task_id"}))]
    if shape.completed_on and is_listed:
        index = f"{_LISTED} AND t.completed_at IS NOT NULL"
        serves = frozenset({"completed_on", *(() if shape.status == "pending" else ("status",))})
        return [Scan(index, (_DONE,), "t.completed_at DESC, t.id DESC", serves)]
    if shape.due == "span" and is_listed:
        return [scan for state in _states(shape) for scan in _dated(state, frozenset({"status", "due"}), span=True)]
    if shape.sort == "updated":
        return newest_scans(shape)
    if shape.tag:  # the index by tag has the order of the newest, and the days of adding
        return newest_scans(shape) if shape.sort != "newest" or shape.priority or shape.due else []
    return newest_scans(shape) if shape.created_on or (shape.priority == "set" and is_listed) else []


def left_out_scans() -> list[Scan]:
    """The overdue tasks that a filter by due date leaves out."""
    return [
        replace(scan, where=tuple(sql.replace("%(due_", "%(left_out_") for sql in scan.where))
        for scan in _dated("pending", frozenset({"status", "due"}), span=True)
    ]


def sorted_scans(shape: Shape) -> list[Scan]:
    """The rows of the page and after it, in the order of the list. Not for ``sort: updated``."""
    if shape.sort == "newest":
        after = (_BEFORE,) if shape.after else ()
        return [replace(scan, where=(*scan.where, *after)) for scan in newest_scans(shape)]
    sort = _by_due if shape.sort == "due" else _by_priority
    scans: list[Scan] = []
    for state in _states(shape):
        if shape.after_completed and state == "pending":
            continue
        is_here = bool(shape.after) and shape.after_completed == (state == "completed")
        scans += sort(shape, state, is_here=is_here, group=2 * (state == "completed"))
    return scans


def _states(shape: Shape) -> list[str]:
    """The states of the tasks in the list: pending, completed, or both. Those of deleted tasks too."""
    return [state for state in ("pending", "completed") if shape.status in (state, "all", "deleted", "any")]


def _dated(state: str, serves: frozenset[str], *, span: bool) -> list[Scan]:
    on, at = (_DUE_ON, _DUE_AT) if span else ("t.due_on IS NOT NULL", "t.due_at IS NOT NULL")
    return [
        Scan(_LISTED, (_STATE[state], on), "t.due_on, t.created_at DESC, t.id DESC", serves),
        Scan(_LISTED, (_STATE[state], at), "t.due_at, t.created_at DESC, t.id DESC", serves),
    ]


def _of_priority(state: str, *conditions: str) -> Scan:
    order = "t.priority DESC, t.created_at DESC, t.id DESC"
    where = (_STATE[state], "t.priority > 0", *conditions)
    return Scan(_LISTED, where, order, frozenset({"status", "priority"}))


# After a row, by its kind: the rest of the same day or moment, and what comes later.
_Parts = dict[str, list[tuple[str, ...]]]
_AFTER_ON: _Parts = {
    "": [()],
    "on": [("t.due_on = %(after_day)s::date", _BEFORE), ("t.due_on > %(after_day)s::date",)],
    "at": [("t.due_on > %(after_day)s::date",)],
}
_AFTER_AT: _Parts = {
    "": [()],
    "on": [("t.due_at >= %(after_moment)s::timestamptz",)],
    "at": [
        ("t.due_at = %(after_moment)s::timestamptz", _BEFORE),
        ("t.due_at > %(after_moment)s::timestamptz",),
    ],
}


def _by_due(shape: Shape, state: str, *, is_here: bool, group: int) -> Iterator[Scan]:
    """Days and moments by date, then the tasks without. A day comes before the moments of that day."""
    after = shape.after if is_here else ""
    serves = frozenset({"status", "due"})
    if shape.due != "none" and after != "none":
        on, at = _dated(state, serves, span=shape.due == "span")
        for scan, parts in ((on, _AFTER_ON[after]), (at, _AFTER_AT[after])):
            for part in parts:
                yield replace(scan, where=(*scan.where, *part), group=group)
    if shape.due != "span":
        where = (_STATE[state], *((_BEFORE,) if after == "none" else ()))
        yield Scan(_LISTED, where, _NEWEST, serves, check=(_NO_DUE,), group=group + 1)


def _by_priority(shape: Shape, state: str, *, is_here: bool, group: int) -> Iterator[Scan]:
    """The tasks with a priority, high first, then the tasks without."""
    serves = frozenset({"status", "priority"})
    in_set, in_none = is_here and shape.after_priority, is_here and not shape.after_priority
    if shape.priority != "none" and not in_none:
        wanted = (_PRIORITY,) if shape.priority == "set" else ()
        after = "t.priority {} %(after_priority)s::smallint"
        parts = [(after.format("="), _BEFORE), (after.format("<"),)] if in_set else [()]
        for part in parts:
            yield replace(_of_priority(state, *wanted, *part), group=group)
    if shape.priority != "set":
        where = (_STATE[state], *((_BEFORE,) if in_none else ()))
        yield Scan(_LISTED, where, _NEWEST, serves, check=("t.priority = 0",), group=group + 1)
