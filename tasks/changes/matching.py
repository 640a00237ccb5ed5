"""The one task whose title has these words."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, NamedTuple

from django.utils import timezone

from tasks.changes.answers import one_line
from tasks.changes.statements import SELECTED, of_this_user, user_sql
from tasks.clock import CallClock
from tasks.search import NotAQuery, parse_match
from tasks.state import TaskState
from todo_mcp.core.errors import AmbiguousMatch, InvalidArguments, NoTaskMatches
from todo_mcp.dates.zones import show
from todo_mcp.postgres.statements import Parameter, Sql, Statement, UserId

CANDIDATES_MAX = 5
READ_MAX = 200  # tasks that fit, the newest
RECENTLY = timedelta(minutes=10)


class Pool(Enum):
    """What a call wants to do with the task."""

    COMPLETE = auto()
    DELETE = auto()
    CHANGE = auto()
    REOPEN = auto()
    RESTORE = auto()

    @property
    def state(self) -> str:
        """The state of the tasks among which the call looks."""
        return {Pool.REOPEN: "completed", Pool.RESTORE: "deleted"}.get(self, "pending")


class Found(NamedTuple):
    """A task that fits: by its title, or by this item of its checklist, or by other text."""

    state: TaskState
    by_title: bool
    item: str | None


def _write(user: UserId) -> Sql:
    """The tasks in a state that have these words, without next occurrences that are new."""
    of_user, params = user_sql(user)
    found = f"tasks_found({of_user}, %s, state => %s, title_only => %s, maximum => {READ_MAX})"
    sql = f"""
        SELECT {SELECTED}, tasks_title_has(title, %s), (
            SELECT item ->> 'text' FROM jsonb_array_elements(checklist) item
            WHERE tasks_title_has(item ->> 'text', %s) LIMIT 1
        ) FROM tasks WHERE {of_this_user(of_user)} AND id = ANY ((SELECT ids FROM {found})::bigint[])
        AND NOT (previous IS NOT NULL AND NOT completed AND deleted_at IS NULL AND created_at > %s)
        ORDER BY created_at DESC, id DESC LIMIT {READ_MAX}
    """  # noqa: S608 (names of columns and a number)
    terms, state, title_only = Parameter("terms"), Parameter("state"), Parameter("title_only")
    return sql, [terms, terms, *params, *params, terms, state, title_only, Parameter("since")]


_find = Statement(_write)


def match(user_id: str, words: str, pool: Pool, clock: CallClock) -> int:
    """The id of the one task in this state whose title has these words.

    A call that is sent again finds the task that it completed or deleted before.

    Raises:
        InvalidArguments: there is no letter or digit in the words.
        NoTaskMatches, AmbiguousMatch: no task fits, or several do.
    """
    try:
        terms = parse_match(words)
    except NotAQuery as error:
        raise InvalidArguments({"match": str(error)}) from None
    since = timezone.now() - RECENTLY
    fitting = _latest_of_series(_search(user_id, terms, pool.state, since, title_only=True), pool)
    if len(fitting) == 1:
        return fitting[0].state.id
    if fitting:
        likeliest = sorted((found.state for found in fitting), key=lambda state: _likelihood(state, words, clock))
        raise AmbiguousMatch([_candidate(state, clock) for state in likeliest[:CANDIDATES_MAX]])
    others = [
        found for state in ("all", "deleted") for found in _search(user_id, terms, state, since, title_only=False)
    ]
    again = [found.state for found in others if found.by_title and _was_done(found.state, pool, since)]
    if again:
        return max(again, key=lambda state: state.updated_at or since).id
    raise NoTaskMatches([_other_candidate(found, clock) for found in others[:CANDIDATES_MAX]])


def _search(user_id: str, terms: list[str], state: str, since: datetime, *, title_only: bool) -> list[Found]:
    rows = _find(user_id=user_id, terms=terms, state=state, title_only=title_only, since=since)
    return [Found(TaskState.of_row(tuple(columns)), by_title, item) for *columns, by_title, item in rows]


def _latest_of_series(found: Sequence[Found], pool: Pool) -> list[Found]:
    """All open tasks; of those that are done or deleted, only the latest of each series."""
    if pool.state == "pending":
        return list(found)
    latest: dict[int, Found] = {}
    for one in sorted(found, key=lambda one: one.state.id):
        latest[one.state.series or one.state.id] = one
    return list(latest.values())


def _was_done(state: TaskState, pool: Pool, since: datetime) -> bool:
    """Whether the same tool has just completed or deleted the task."""
    if pool is Pool.COMPLETE:
        return state.deleted_at is None and state.completed_at is not None and state.completed_at > since
    return pool is Pool.DELETE and state.deleted_at is not None and state.deleted_at > since


def _likelihood(state: TaskState, words: str, clock: CallClock) -> tuple[bool, bool, datetime, float]:
    """What sorts the likeliest task first: a title of just these words, an early due date, a new task."""
    due = state.due_at or (
        datetime.combine(state.due_on, datetime.min.time(), clock.zone) if state.due_on else datetime.max
    )
    created = state.created_at.timestamp() if state.created_at else 0.0
    is_equal = one_line(state.title).casefold() == one_line(words).casefold()
    return not is_equal, not (state.due_on or state.due_at), due.replace(tzinfo=due.tzinfo or UTC), -created


def _candidate(state: TaskState, clock: CallClock) -> dict[str, Any]:
    due = state.due_in(clock.zone)
    tags = {"tags": state.tags} if state.tags else {}
    when = {"due": show(due)} if due else {}
    return {"task_id": state.id, "title": state.title, **when, **tags, "created_at": state.created_at}


def _other_candidate(found: Found, clock: CallClock) -> dict[str, Any]:
    """A task that fits otherwise, and why it was not taken."""
    state = found.state
    reasons = {"item": found.item, "completed_at": state.completed_at, "deleted_at": state.deleted_at}
    return _candidate(state, clock) | {name: value for name, value in reasons.items() if value is not None}
