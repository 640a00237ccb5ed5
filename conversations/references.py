"""How callers name a conversation or a message: by its id, or by the ref that they chose for it."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import core_schema

from conversations.models import REF, REF_MAX
from todo_mcp.core.arguments import Id, refuse

_REF = re.compile(REF)
_FORM = f"1 to {REF_MAX} letters, digits and - _ . : @, beginning with a letter or digit, and not digits alone"
_SCHEMA = {"type": "string", "maxLength": REF_MAX, "pattern": REF}

Key = int | str  # an id or a ref


def _is_ref(text: str) -> bool:
    return len(text) <= REF_MAX and _REF.fullmatch(text) is not None


def check_ref(ref: str) -> str:
    """The ref. Refuses a text that is none."""
    if not _is_ref(ref):
        raise refuse(f"must be {_FORM}")
    return ref


@dataclass(frozen=True, kw_only=True)
class IdOrRef(Id):
    """An id, or a ref. The value is an integer, or a string."""

    def check(self, value: object) -> Key:  # type: ignore[override] # an id is one of both
        if not isinstance(value, str) or (value.isascii() and value.isdigit()):
            return super().check(value)
        if not _is_ref(value):
            raise refuse(f"must be an id, or a ref: {_FORM}")
        return value

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "integer"}, _SCHEMA], "description": self.description}


Ref = Annotated[
    str,
    AfterValidator(check_ref),
    WithJsonSchema({**_SCHEMA, "description": f"Your own name for it, which never changes: {_FORM}."}),
]


def by_key(key: Key) -> dict[str, Key]:
    """The filter for a row with this id or ref."""
    return {"pk": key} if isinstance(key, int) else {"ref": key}
