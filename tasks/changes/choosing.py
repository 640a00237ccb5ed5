"""Which tasks a call is about: one by its id, several by their ids, or one by words of its title."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from tasks.changes.given import Given
from tasks.clock import CallClock
from tasks.rows import full
from tasks.state import TaskState
from todo_mcp.core.errors import InvalidArguments, VersionConflict


@dataclass(frozen=True)
class Which:
    """Exactly one of ``task_id``, ``task_ids`` and ``match``."""

    task_id: int | None = None
    task_ids: Sequence[int] | None = None
    match: str | None = None
    expected_version: int | None = None

    @classmethod
    def of(cls, given: Given) -> Self:
        """What the call names.

        Raises:
            InvalidArguments: it names no task, or names them in two ways, or ``expected_version`` is for several tasks.
        """
        which = cls(*(given.get(name) for name in ("task_id", "task_ids", "match", "expected_version")))
        ways = [name for name in ("task_id", "task_ids", "match") if name in given.sent]
        if not ways:
            raise InvalidArguments({"task_id": "is required; or send match or task_ids in its place"})
        if len(ways) > 1:
            raise InvalidArguments(dict.fromkeys(ways, "send only one of match, task_id and task_ids"))
        if which.expected_version and which.task_ids:
            raise InvalidArguments({"expected_version": "goes with task_id or match, not with task_ids"})
        return which

    @property
    def is_only_an_id(self) -> bool:
        return self.task_id is not None and self.expected_version is None

    def ids(self) -> list[int]:
        """The ids, each once, in the order in which they were sent."""
        return list(dict.fromkeys(self.task_ids or [self.task_id or 0]))


def check_version(which: Which, state: TaskState, clock: CallClock) -> None:
    """Check that the task still has the version that the caller has read.

    Raises:
        VersionConflict: it has another one; ``current`` is the task as it is.
    """
    if which.expected_version and which.expected_version != state.version:
        raise VersionConflict(
            f"Task {state.id} has version {state.version} now, and nothing was done. See data.current, then decide "
            "whether the change still fits.",
            current=full(state, clock.zone),
        )
