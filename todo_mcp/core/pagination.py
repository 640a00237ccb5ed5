"""Keyset cursors. A cursor is the position of a row in a list sorted by a time and an id, newest first."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from todo_mcp.core.arguments import MAX_ID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Position(NamedTuple):
    """The sort key of the last row of a page; rows after it are strictly older."""

    at: datetime
    id: int

    def encode(self) -> str:
        """The cursor: opaque to callers and always the same for a row. It grants no access, so it is not signed."""
        packed = f"{(self.at - _EPOCH) // _MICROSECOND}.{self.id}"
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def decode(cursor: str) -> Position:
    """The position that a cursor encodes.

    Raises:
        ValueError: ``Position.encode`` never returns this text.
    """
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        microseconds, _, row_id = packed.partition(".")
        position = Position(_EPOCH + int(microseconds) * _MICROSECOND, int(row_id))
        valid = 1 <= position.id <= MAX_ID and position.encode() == cursor
    except (binascii.Error, ValueError, OverflowError):
        valid = False
    if not valid:
        raise ValueError("not a cursor")
    return position


class _Cursor:
    """The argument type that converts a cursor to its Position."""

    def check(self, value: str) -> Position:
        try:
            return decode(value)
        except ValueError:
            raise PydanticCustomError(
                "argument", "is not a next_cursor of this list; leave it out to start at the newest"
            ) from None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "maxLength": 64, "description": "The next_cursor of the page before, unchanged."}


Cursor = Annotated[Position, _Cursor()]
