"""The arguments of one call: which of them may stand beside each other, and which tasks they name."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from django.db import transaction

from tasks.clock import CallClock, clock_of, clock_of_refusal
from tasks.rows import full
from tasks.state import TaskState
from todo_mcp.core.errors import InvalidArguments, VersionConflict
from todo_mcp.users.services import store_time_zone


class Given:
    """The arguments that a caller sent, for one user."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """``arguments`` are those of an operation's function; None and False mean that one was not sent."""
        sent = {name: value for name, value in arguments.items() if value is not None and value is not False}
        self.user_id: str = sent.pop("user_id")
        self.own_zone: str = sent.pop("own_zone")
        self.sent = sent

    def get(self, name: str) -> Any:
        return self.sent.get(name)

    def for_key(self) -> dict[str, Any]:
        """What two calls with one idempotency key must have in common, as JSON."""
        sent = {name: value for name, value in self.sent.items() if name != "idempotency_key"}
        return {name: [task.sent() for task in value] if name == "tasks" else value for name, value in sent.items()}

    def clock(self) -> CallClock:
        return clock_of(self.own_zone, self.get("time_zone"))

    def refuse_beside(self, name: str, allowed: Collection[str], reason: str) -> None:
        """Refuse every argument beside this one that is not allowed there.

        Raises:
            InvalidArguments: names each of them.
        """
        if wrong := [other for other in self.sent if other != name and other not in allowed]:
            raise self.refusal(dict.fromkeys(wrong, reason))

    def refusal(self, fields: Mapping[str, str]) -> InvalidArguments:
        """The refusal of these arguments, with the clock if one of them takes words for days."""
        return InvalidArguments(dict(fields), **clock_of_refusal(fields, self.own_zone, self.get("time_zone")))

    @property
    def stores_zone(self) -> bool:
        """Whether the call names a zone for a person who has none yet."""
        return "time_zone" in self.sent and not self.own_zone

    @contextmanager
    def storing_zone(self, clock: CallClock) -> Iterator[None]:
        """Store the zone of the call, if the person has none yet, in one transaction with what follows."""
        if not self.stores_zone:
            yield
            return
        with transaction.atomic():
            store_time_zone(user_id=self.user_id, time_zone=clock.time_zone)
            yield


class Which(NamedTuple):
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
        which = cls(*map(given.sent.get, cls._fields))
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

    def expected(self) -> dict[str, Any]:
        """The values that columns of the task must have, or else the call must not change it."""
        return {"deleted_at": None, **({"version": self.expected_version} if self.expected_version else {})}

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
