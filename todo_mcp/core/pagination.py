"""Keyset cursors. A cursor is the position of a row in a list that is sorted by a time and an id."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from todo_mcp.core.arguments import MAX_ID
from todo_mcp.core.errors import InvalidArguments

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REVERSED = 0
_MICROSECOND = timedelta(microseconds=1)


class Position(NamedTuple):
    """The sort key of the last row of a page; the rows of the next page are strictly after it."""

    at: datetime
    id: int

    def encode(self, *, is_reversed: bool = False) -> str:
        """The cursor: opaque to callers and always the same for a row. It grants no access, so it is not signed.

        Args:
            is_reversed: the list is in the order that is not its usual one.
        """
        return pack(microseconds(self.at), self.id, *([_REVERSED] if is_reversed else []))


class ReversedPosition(Position):
    """A position in a list that is in the order that is not its usual one."""


def microseconds(at: datetime) -> int:
    """The time since 1970."""
    return (at - EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The time from the microseconds since 1970.

    Raises:
        OverflowError: there is no such time in Python.
    """
    return EPOCH + microseconds * _MICROSECOND


def pack(*numbers: int) -> str:
    """The numbers as text for an address or an argument."""
    return base64.urlsafe_b64encode(".".join(map(str, numbers)).encode()).decode().rstrip("=")


def unpack(text: str) -> list[int]:
    """The numbers in a packed text.

    Raises:
        ValueError: ``pack`` never returns this text.
    """
    packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    numbers = [int(part) for part in packed.split(b".")]
    if pack(*numbers) != text:
        raise ValueError("written otherwise")
    return numbers


def decode(cursor: str) -> Position:
    """The position that a cursor encodes.

    Raises:
        ValueError: ``Position.encode`` never returns this text.
    """
    try:
        at, row_id, *mark = unpack(cursor)
        kind = {(): Position, (_REVERSED,): ReversedPosition}[tuple(mark)]
        position = kind(moment(at), row_id)
    except (ValueError, OverflowError, KeyError):
        raise ValueError("not a cursor") from None
    if not 1 <= position.id <= MAX_ID:
        raise ValueError("not a cursor")
    return position


class _Cursor:
    """The argument type that converts a cursor to its Position; of a list with two orders, to one of either."""

    def __init__(self, *, has_two_orders: bool = False) -> None:
        self._has_two_orders = has_two_orders

    def check(self, value: str) -> Position:
        try:
            return self._decode(value)
        except ValueError:
            raise PydanticCustomError(
                "argument", "is not a next_cursor of this list; leave it out to start at the beginning"
            ) from None

    def _decode(self, value: str) -> Position:
        position = decode(value)
        if isinstance(position, ReversedPosition) and not self._has_two_orders:
            raise ValueError("not a cursor of this list")
        return position

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "maxLength": 64, "description": "The next_cursor of the page before, unchanged."}


Cursor = Annotated[Position, _Cursor()]
CursorOfEitherOrder = Annotated[Position, _Cursor(has_two_orders=True)]


def check_order(cursor: Position | None, *, is_reversed: bool) -> None:
    """Check that a cursor is of a list in this order.

    Raises:
        InvalidArguments: it is of the other order.
    """
    if cursor and isinstance(cursor, ReversedPosition) is not is_reversed:
        raise InvalidArguments({"cursor": "is of a list in the other order; send the order of the page before"})
