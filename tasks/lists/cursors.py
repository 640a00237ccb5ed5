"""Cursors of lists: the place of a row in its order. Each belongs to the filters and the order of its list."""

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from tasks.lists.arguments import SortName
from tasks.models import PRIORITIES
from todo_mcp.core.arguments import MAX_ID
from todo_mcp.core.pagination import EPOCH, Position, microseconds, moment, pack, unpack

_MINUTE = timedelta(minutes=1)
_KINDS = ("on", "at", "none")  # due on a day, due at a moment, without due date


class Place(NamedTuple):
    """The sort key of a row. ``at`` and ``id`` are of the task; with ``sort: updated``, of its last change.

    The rest is for ``sort: due`` and ``sort: priority``.
    """

    at: datetime
    id: int
    completed: bool = False
    priority: int = 0
    due_on: date | None = None
    due_at: datetime | None = None

    @property
    def kind(self) -> str:
        """Whether the task is due on a day, at a moment, or has no due date."""
        return "on" if self.due_on else "at" if self.due_at else "none"


class ListCursor(NamedTuple):
    """A place in a list, the arguments of the list, and the minute at which its first page was read."""

    fingerprint: int
    now: datetime
    place: Place

    def encode(self, sort: SortName) -> str:
        """The cursor as text. It grants no access, so it is not signed."""
        place = self.place
        numbers = [self.fingerprint, int(self.now.timestamp()) // 60, microseconds(place.at), place.id]
        if sort == "priority":
            numbers += [int(place.completed), place.priority]
        elif sort == "due":
            value = place.due_on.toordinal() if place.due_on else microseconds(place.due_at) if place.due_at else 0
            numbers += [int(place.completed), _KINDS.index(place.kind), value]
        return pack(*numbers)


def decode(text: str, sort: SortName, latest: datetime) -> ListCursor | Position:
    """The cursor, or the position that the release before this one wrote.

    Args:
        latest: no first page was read after this moment.

    Raises:
        ValueError: this is no cursor of a list with this order.
    """
    try:
        return _read(unpack(text), sort, latest)
    except (ValueError, OverflowError, IndexError):
        raise ValueError("not a cursor") from None


def _read(numbers: list[int], sort: SortName, latest: datetime) -> ListCursor | Position:
    if len(numbers) == 2:
        _check(1 <= numbers[1] <= MAX_ID)
        return Position(moment(numbers[0]), numbers[1])
    fingerprint, minute, at, row_id, *rest = numbers
    now = EPOCH + minute * _MINUTE
    _check(EPOCH <= now <= latest and 1 <= row_id <= MAX_ID)
    place = {"at": moment(at), "id": row_id, **_rest(rest, sort)}
    return ListCursor(fingerprint, now, Place(**place))


def _rest(numbers: list[int], sort: SortName) -> dict[str, Any]:
    _check(len(numbers) == {"priority": 2, "due": 3}.get(sort, 0))
    if not numbers:
        return {}
    _check(all(number >= 0 for number in numbers[:2]))
    completed = bool((False, True)[numbers[0]])
    if sort == "priority":
        _check(numbers[1] < len(PRIORITIES))
        return {"completed": completed, "priority": numbers[1]}
    kind, value = _KINDS[numbers[1]], numbers[2]
    due_at = moment(value) if kind == "at" else None
    return {"completed": completed, "due_on": date.fromordinal(value) if kind == "on" else None, "due_at": due_at}


def _check(is_valid: bool) -> None:
    if not is_valid:
        raise ValueError("out of bounds")
