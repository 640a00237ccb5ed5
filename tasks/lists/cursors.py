"""Cursors of lists: the place of a row in its order. Each belongs to the filters and the order of its list."""

import base64
import binascii
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from tasks.lists.arguments import SortName
from tasks.models import PRIORITIES
from todo_mcp.core.arguments import MAX_ID
from todo_mcp.core.pagination import Position

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
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
        numbers = [self.fingerprint, (self.now - _EPOCH) // _MINUTE, microseconds(place.at), place.id]
        if sort == "priority":
            numbers += [int(place.completed), place.priority]
        elif sort == "due":
            value = place.due_on.toordinal() if place.due_on else microseconds(place.due_at) if place.due_at else 0
            numbers += [int(place.completed), _KINDS.index(place.kind), value]
        return _pack(numbers)


def decode(text: str, sort: SortName, latest: datetime) -> ListCursor | Position:
    """The cursor, or the position that the release before this one wrote.

    Args:
        latest: no first page was read after this moment.

    Raises:
        ValueError: this is no cursor of a list with this order.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        numbers = [int(part) for part in base64.b64decode(padded, altchars=b"-_", validate=True).split(b".")]
        if _pack(numbers) != text:
            raise ValueError("written otherwise")
        return _unpack(numbers, sort, latest)
    except (binascii.Error, ValueError, OverflowError, IndexError):
        raise ValueError("not a cursor") from None


def _unpack(numbers: list[int], sort: SortName, latest: datetime) -> ListCursor | Position:
    if len(numbers) == 2:
        _check(1 <= numbers[1] <= MAX_ID)
        return Position(_moment(numbers[0]), numbers[1])
    fingerprint, minute, microseconds, row_id, *rest = numbers
    now = _EPOCH + minute * _MINUTE
    _check(_EPOCH <= now <= latest and 1 <= row_id <= MAX_ID)
    place = {"at": _moment(microseconds), "id": row_id, **_rest(rest, sort)}
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
    due_at = _moment(value) if kind == "at" else None
    return {"completed": completed, "due_on": date.fromordinal(value) if kind == "on" else None, "due_at": due_at}


def _check(is_valid: bool) -> None:
    if not is_valid:
        raise ValueError("out of bounds")


def microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _pack(numbers: list[int]) -> str:
    packed = ".".join(str(number) for number in numbers)
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")
