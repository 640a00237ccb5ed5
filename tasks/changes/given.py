"""The arguments of one call, and how many of them may stand beside each other."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from tasks.changes.refusals import Refused
from tasks.clock import CallClock, clock_of
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.users.services import store_time_zone

_DAYS = ("due", "repeat")  # fields whose refusal says what the server's clock says


class Given:
    """The arguments that a caller sent, for one user."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """``arguments`` are those of an operation's function; None means that one was not sent."""
        sent = {name: value for name, value in arguments.items() if value is not None}
        self.user_id: str = sent.pop("user_id")
        self.own_zone: str = sent.pop("own_zone")
        self.sent = sent

    def get(self, name: str) -> Any:
        return self.sent.get(name)

    def clock(self) -> CallClock:
        return clock_of(self.own_zone, self.get("time_zone"))

    def refuse_beside(self, name: str, allowed: Collection[str], reason: str) -> None:
        """Refuse every argument beside this one that is not allowed there.

        Raises:
            InvalidArguments: names each of them.
        """
        if wrong := [other for other in self.sent if other != name and other not in allowed]:
            raise InvalidArguments(dict.fromkeys(wrong, reason))

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


class Refusals:
    """What is wrong with a call, collected, so that one answer names it all."""

    def __init__(self, clock: CallClock) -> None:
        self._clock = clock
        self._fields: dict[str, str] = {}
        self._tasks: dict[str, list[int]] = {}  # the tasks that cannot take a field

    def add(self, refused: Refused, *, prefix: str = "", task_id: int | None = None) -> None:
        field = prefix + refused.field
        self._fields.setdefault(field, refused.reason)
        if task_id:
            self._tasks.setdefault(field, []).append(task_id)

    def raise_if_any(self) -> None:
        """Refuse the call.

        Raises:
            InvalidArguments: names each field, and the tasks that cannot take it.
        """
        if not self._fields:
            return
        fields = dict(self._fields)
        for name, ids in self._tasks.items():
            which = f"task {ids[0]}" if len(ids) == 1 else f"tasks {', '.join(map(str, ids))}"
            fields[name] = f"{fields[name].rstrip('.')} ({which})"
        names_a_day = any(name.rpartition(".")[2] in _DAYS for name in fields)
        raise InvalidArguments(fields, **(self._clock.answer() if names_a_day else {}))
