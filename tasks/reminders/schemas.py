"""The arguments and the result of ``list_due``."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema
from typing_extensions import TypedDict

from todo_mcp.core.arguments import Integer, refuse
from todo_mcp.core.envelope import Output

LIMIT_MAX = 500
FIRST_YEAR, LAST_YEAR = 1970, 9990  # so that a day more or less is still a date
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
_BLANK_FOR_PLUS = re.compile(r" (?=\d\d:?\d\d$)")  # what a query makes of a plus that is not percent-encoded


class Moment:
    """An ISO 8601 moment with an offset."""

    def __init__(self, description: str) -> None:
        self.description = description

    def check(self, value: str) -> datetime:
        text = _BLANK_FOR_PLUS.sub("+", value)
        try:
            moment = datetime.fromisoformat(text.upper()).astimezone(UTC) if _MOMENT.fullmatch(text) else None
        except (ValueError, OverflowError):
            moment = None
        if moment is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise refuse("must be a moment with its offset, such as 2026-11-27T09:00Z or 2026-11-27T10:00%2B01:00")
        return moment

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "date-time", "description": self.description}


From = Annotated[datetime, Moment("The first moment, ISO 8601 with an offset. Write + as %2B in a query.")]
To = Annotated[datetime, Moment("The end, which is not included; at most 31 days later.")]
Limit = Annotated[int, Integer(minimum=1, maximum=LIMIT_MAX, description="1 to 500. Default 100.")]


class DueTask(TypedDict):
    user_id: str
    task_id: int
    title: str
    due: str  # a day, or a moment in the zone of the user


class DueList(Output):
    tasks: list[DueTask]
    has_more: bool
    next_cursor: str | None = Field(description="Send it as cursor for the next page; null on the last page.")

    def message(self) -> str:
        return f"{len(self.tasks)} tasks."
