"""The one shape of every answer: ``{"status": …, "data": {…}, "message": …}``."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from todo_mcp.core.errors import TodoError

Envelope = dict[str, Any]


class Output(BaseModel):
    """What an operation returns: the envelope's ``data``, and the sentence that goes with it."""

    model_config = ConfigDict(frozen=True)

    def message(self) -> str:
        """One or two sentences that tell the caller what happened and what to do next."""
        raise NotImplementedError


def success(output: Output) -> Envelope:
    """The envelope of an operation that was done. Times are RFC 3339 in UTC, ending in Z."""
    return {"status": "success", "data": output.model_dump(mode="json"), "message": output.message()}


def failure(error: TodoError) -> Envelope:
    """The envelope of an operation that was refused or failed; over HTTP the status is ``data.error_code``."""
    return {"status": "error", "data": error.data(), "message": error.message}


def to_json(value: Any) -> str:
    """Compact JSON, as it goes over the wire."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


ERROR_DATA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error_code": {"type": "integer", "description": "The HTTP status that says the same."},
        "error": {"type": "string", "description": "The error's name, stable across versions."},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "With invalid_arguments: each argument that is wrong, and why.",
        },
        "retry_after": {"type": "integer", "description": "With busy and rate_limited: seconds to wait."},
        "request_id": {"type": "string", "description": "With internal_error: where the log tells the cause."},
    },
    "required": ["error_code", "error"],
}


def envelope_schema(data: dict[str, Any], *statuses: str) -> dict[str, Any]:
    """JSON Schema of the envelope around this ``data``, with these values of ``status``."""
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
    """JSON Schema of every answer of a tool. Errors fit it too, as MCP asks of a tool's output schema."""
    data = output.model_json_schema(mode="serialization")
    definitions = {"$defs": data.pop("$defs")} if "$defs" in data else {}
    return envelope_schema({"anyOf": [data, ERROR_DATA], **definitions}, "success", "error")
