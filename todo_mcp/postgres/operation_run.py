"""One run of an operation. Its statements are checked against the rules of ``core.operations.operation``."""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet

from todo_mcp.core.errors import RuleBroken
from todo_mcp.postgres.health.causes import proves_nothing_done

_START = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"  # white space and comments
_SAVEPOINT = re.compile(_START + r"(?:SAVEPOINT|RELEASE|ROLLBACK)\b", re.IGNORECASE | re.DOTALL)
_READ = re.compile(_START + r"(?:SELECT|SET|SHOW)\b", re.IGNORECASE | re.DOTALL)
_WITH = re.compile(_START + r"WITH\b(?!.*\b(?:INSERT|UPDATE|DELETE|MERGE)\b)", re.IGNORECASE | re.DOTALL)


class Condition:
    """A condition on the user of a call. Each statement checks it at the moment when it runs.

    ``user`` builds a query for the user's id. If the condition is false, the query returns no row. The query replaces
    the id in a statement. So a false condition makes the id NULL, and the statement reads and changes nothing. No
    separate statement for the check is needed. ``values`` has the values of the query's ``ConditionParameter``s.

    ``is_met`` becomes true when a statement of the run has returned a row. Later statements of the run need no check.
    So a compiled statement must give no row for the user NULL. A count without GROUP BY would give one.
    """

    def __init__(self, user: Callable[[], QuerySet[Any, Any]], values: Mapping[str, Any]) -> None:
        self.user = user
        self.values = values
        self.is_met = False


class Unmet(Exception):
    """The condition is false, or a statement cannot carry it. Nothing was done."""


@dataclass(slots=True)
class Use:
    """What a run has written, or several runs together.

    ``writes`` are the tasks that it added or changed, and calls on conversations. ``tasks`` is the growth of the number
    of tasks that are not deleted.
    """

    writes: int = 0
    size: int = 0  # bytes
    tasks: int = 0

    def add(self, other: "Use") -> None:
        self.writes += other.writes
        self.size += other.size
        self.tasks += other.tasks


class OperationRun:
    """A context for the statements of one run. They carry the condition until it is met.

    ``use`` is what the run has written. It counts only if the run succeeds.
    """

    def __init__(self, condition: Condition | None) -> None:
        self.condition = condition
        self.use = Use()
        self._began_compiled = self._began_with_orm = False
        self._has_changed = self._has_committed = False
        self._connection: Any = connections[DEFAULT_DB_ALIAS]  # our backend's
        self._is_commit_sent = False  # a change outside of a transaction is its own commit

    def __enter__(self) -> None:
        if self.condition:
            self.condition.is_met = False
        self._outer = _current.set(self)
        self._connection.execute_wrappers.append(self.execute_by_orm)
        self._connection.run = self

    def __exit__(self, *raised: object) -> None:
        self._connection.execute_wrappers.pop()
        self._connection.run = None
        _current.reset(self._outer)

    def begin_compiled(self) -> Condition | None:
        """Note that a compiled statement follows. Returns the condition that it must carry, if any."""
        self._began_compiled = not self._began_with_orm
        return None if self.condition is None or self.condition.is_met else self.condition

    def check_change(self) -> None:
        """Check that a statement may change rows now. Call this before such a statement.

        Raises:
            RuleBroken: an earlier change is committed, so a second run would do it again.
        """
        if self._has_committed:
            raise RuleBroken("An operation makes all its changes in one transaction.")
        self._connection.ensure_connection()  # if that fails, nothing is sent
        self._has_changed = True
        self._is_commit_sent = not self._connection.in_atomic_block

    def note_commit(self) -> None:
        """Note that COMMIT follows."""
        self._is_commit_sent = self._has_changed

    def may_be_done(self, error: Exception | None = None) -> bool:
        """Whether the changes may be committed, after this error or while no answer comes."""
        return self._has_committed or (self._is_commit_sent and not (error and proves_nothing_done(error)))

    def note_change(self) -> None:
        """Note that a statement has changed rows."""
        if self._connection.in_atomic_block:
            self._connection.on_commit(self._note_commit)
        else:
            self._note_commit()

    def execute_by_orm(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        """Execute a statement of one of Django's cursors. The connection's ``execute_wrappers`` call this.

        It does not notice a change that a function in a SELECT makes, or a hook of ``on_commit``.

        Raises:
            Unmet: there is a condition, which such a statement cannot carry.
            RuleBroken: the run began with a compiled statement, or an earlier change is committed.
        """
        is_met = self.condition is None or self.condition.is_met
        if is_met and _SAVEPOINT.match(sql):
            return execute(sql, *arguments)
        if self._began_compiled:
            raise RuleBroken("An operation that begins with a compiled statement makes compiled statements only.")
        if self.condition:
            raise Unmet
        self._began_with_orm = True
        if _READ.match(sql) or _WITH.match(sql):
            return execute(sql, *arguments)
        self.check_change()
        result = execute(sql, *arguments)
        self.note_change()
        return result

    def _note_commit(self) -> None:
        self._has_committed = True


_current: ContextVar[OperationRun | None] = ContextVar("operation_run", default=None)


def current_run() -> OperationRun | None:
    """The run that the caller is in. None if no operation runs."""
    return _current.get()


def note_use(*, writes: int = 0, size: int = 0, tasks: int = 0) -> None:
    """Note what the current operation writes. Compiled statements note writes and size by themselves."""
    if run := _current.get():
        run.use.add(Use(writes, size, tasks))
