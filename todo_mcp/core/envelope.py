"""The one shape of every answer: ``{"status": …, "data": {…}, "message": …}``."""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from todo_mcp.core.errors import TodoError

Envelope = dict[str, Any]


class Output(BaseModel):
    """The result of an operation: the envelope's ``data`` and ``message``.

    ``summary`` names the fields that tools/list shows: those that a model looks for. OpenAPI has them all.
    ``only_if_set`` names the fields that an answer has only if they are not None.
    """

    model_config = ConfigDict(frozen=True)
    summary: ClassVar[tuple[str, ...]] = ()
    only_if_set: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler.resolve_ref_schema(handler(schema))
        for name in cls.only_if_set:  # an answer never has null there
            field = described["properties"][name]
            field.pop("default", None)
            field |= next((option for option in field.pop("anyOf", ()) if option["type"] != "null"), {})
        return described

    def message(self) -> str:
        """One or two sentences that tell the caller what happened and what to do next."""
        raise NotImplementedError

    def data(self) -> dict[str, Any]:
        """The envelope's ``data``: the fields without ``exclude``, unchanged. ``to_json`` converts times and models."""
        values = self.__dict__
        data = {name: values[name] for name in _data_fields(type(self))}
        for name in self.only_if_set:
            if data[name] is None:
                del data[name]
        return data


@cache
def _data_fields(output: type[Output]) -> tuple[str, ...]:
    return tuple(name for name, field in output.model_fields.items() if not field.exclude)


def success(output: Output) -> Envelope:
    """The envelope of an operation that succeeded."""
    return {"status": "success", "data": output.data(), "message": output.message()}


def failure(error: TodoError) -> Envelope:
    """The envelope of an operation that was refused or failed. Over HTTP, the status is ``data.error_code``."""
    return {"status": "error", "data": error.data(), "message": error.message}


def to_json(value: Any) -> bytes:
    """Compact JSON in UTF-8. Times are in RFC 3339 format, in UTC, and end in Z."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z)
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits; only a caller's JSON can contain them
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
        return text.encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, Output):
        return value.data()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} is not JSON")


ERROR_DATA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error_code": {"type": "integer", "description": "The HTTP status of this error."},
        "error": {"type": "string", "description": "The error's name, stable across versions."},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "With invalid_arguments: each argument that is wrong, and why.",
        },
        "retry_after": {
            "type": "integer",
            "description": "With busy, rate_limited and a quota of writes: seconds to wait.",
        },
        "ref": {"type": "string", "description": "With ref_conflict: the ref that is taken."},
        "last_message_id": {
            "type": "integer",
            "description": "With version_conflict of a conversation: its last message, or 0.",
        },
        "request_id": {"type": "string", "description": "With internal_error: the log has the cause under this id."},
    },
    "required": ["error_code", "error"],
}


def envelope_schema(data: dict[str, Any], *statuses: str) -> dict[str, Any]:
    """JSON Schema of the envelope with this schema of ``data`` and these values of ``status``."""
    definitions = {"$defs": data.pop("$defs")} if "$defs" in data else {}
    return {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": list(statuses)},
            "data": data,
            "message": {"type": "string", "description": "What happened and what to do next."},
        },
        "required": ["status", "data", "message"],
        **definitions,
    }


def result_schema(output: type[Output]) -> dict[str, Any]:
    """JSON Schema of every answer of a tool, with the types of its main fields.

    It covers errors too: MCP requires answers to match the output schema. So ``data`` has no required field.
    """
    fields = output.model_json_schema(mode="serialization")["properties"]
    shown = {name: _kind(fields[name]) for name in output.summary}
    data = {"type": "object", "properties": {**shown, "error": {"type": "string"}}}
    return {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": ["success", "error"]},
            "data": data,
            "message": {"type": "string"},
        },
        "required": ["status", "data", "message"],
    }


def _kind(schema: dict[str, Any]) -> dict[str, Any]:
    """The type of a field, and of its items, without more."""
    schema = next((option for option in schema.get("anyOf", ()) if option.get("type") != "null"), schema)
    kind = {"type": schema.get("type", "object")}
    return kind | ({"items": {"type": schema["items"].get("type", "object")}} if "items" in schema else {})
