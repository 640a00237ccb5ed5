"""JSON objects that callers keep here. They stay compact text, so that the same value comes back, and unread."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import core_schema

from todo_mcp.core.arguments import refuse

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")

JsonValue = Annotated[Any, WithJsonSchema({"type": "object"})]  # in an answer: what ``as_json`` returns


@dataclass(frozen=True, kw_only=True)
class JsonObject:
    """The argument type of a JSON object of at most ``maximum`` bytes, as compact UTF-8. The value is this text.

    Its strings must not contain NUL or lone surrogates. Numbers with a fraction or an exponent are doubles.
    """

    description: str
    maximum: int

    def check(self, value: object) -> str:
        if not isinstance(value, dict):
            raise refuse("must be a JSON object")
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            size = len(text.encode())
        except UnicodeEncodeError:
            raise refuse("must not contain a lone surrogate") from None
        except TypeError:
            raise refuse("must be a JSON object") from None
        except ValueError:
            raise refuse("must not contain a number beyond 1.8e308, the largest double") from None
        if "\\u0000" in text and _NUL.search(text):
            raise refuse("must not contain the control character U+0000")
        if size > self.maximum:
            raise refuse(
                "must have at most {maximum} bytes as compact JSON, and this has {size}",
                maximum=self.maximum, size=size,
            )  # fmt: skip
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "object", "description": self.description}


def as_json(text: str | None) -> orjson.Fragment | None:
    """The text of a JSON value, as a part of an answer."""
    return None if text is None else orjson.Fragment(text)
