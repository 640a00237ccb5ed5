"""The form of a scenario: what a person says, which calls a good model makes, and what must be true afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Visible = Mapping[str, Any]  # a task as a person sees it; empty fields are left out


@dataclass(frozen=True)
class Person:
    """What the person says."""

    words: str


@dataclass(frozen=True)
class Assistant:
    """What the assistant says."""

    words: str


@dataclass(frozen=True)
class NewChat:
    """A new conversation begins: the assistant knows no earlier answer."""


@dataclass(frozen=True)
class At:
    """The moment of the calls that follow, in the person's zone."""

    moment: str


@dataclass(frozen=True)
class Call:
    """A call. ``by`` names the token: the person's assistant, a second one, or a service for many people."""

    tool: str
    arguments: dict[str, Any]
    by: str = "assistant"


@dataclass(frozen=True)
class Answer:
    """What the answer to the last call must contain.

    ``data`` is a part of the answer's data. A list in it must have the same length, and ``...`` means any value.
    ``titles`` are those of the tasks in the answer, in order. ``says`` are parts of the message, ``lacks`` are fields
    of the data that must not be there.
    """

    data: dict[str, Any]
    error: str | None = None
    titles: Sequence[str] | None = None
    says: Sequence[str] = ()
    lacks: Sequence[str] = ()


Line = Person | Assistant | NewChat | At | Call | Answer


def call(tool: str, *, by: str = "assistant", **arguments: Any) -> Call:
    return Call(tool, arguments, by)


def answer(
    *says: str,
    error: str | None = None,
    titles: Sequence[str] | None = None,
    lacks: Sequence[str] = (),
    **data: Any,
) -> Answer:
    return Answer(data, error, titles, says, lacks)


@dataclass(frozen=True)
class Cost:
    """The number of calls, and at most how many bytes of JSON the model writes and reads."""

    calls: int
    sent: int
    received: int


@dataclass(frozen=True)
class Scenario:
    """One everyday request.

    ``after`` has what the calls changed, by task id: of a task that was there, the fields that differ (None: now
    empty); of a new task, all fields. Each change adds one to ``version``, so a task that is changed twice has it in
    ``after``. No other task of any person may change, and no other task may appear. ``zone_after`` is the person's
    time zone at the end, if the calls store one.
    """

    name: str
    talk: Sequence[Line]
    cost: Cost
    after: Mapping[int, Visible] = field(default_factory=dict)
    tasks: Sequence[Visible] | None = None  # None: those of HOME
    zone: str = "Europe/Berlin"
    zone_after: str | None = None


def scenario(name: str, *talk: Line, cost: tuple[int, int, int], **more: Any) -> Scenario:
    return Scenario(name, talk, Cost(*cost), **more)
