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


def envelope_schema(output: type[Output]) -> dict[str, Any]:
    """JSON Schema of the envelope around ``output``. Errors fit it too, as MCP asks of a tool's output schema."""
    data = output.model_json_schema(mode="serialization")
    error = {
        "type": "object",
        "properties": {
            "error_code": {"type": "integer", "description": "The HTTP status that says the same."},
            "error": {"type": "string", "description": "The error's name, stable across versions."},
        },
        "required": ["error_code", "error"],
    }
    definitions = {"$defs": data.pop("$defs")} if "$defs" in data else {}
    return {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": ["success", "error"]},
            "data": {"anyOf": [data, error]},
            "message": {"type": "string", "description": "What happened and what to do next."},
        },
        "required": ["status", "data", "message"],
        **definitions,
    }
