"""The tools in the OpenAPI document, made from the registry; drf-spectacular makes the rest."""

from typing import Any

from todo_mcp.core.envelope import ERROR_DATA, envelope_schema
from todo_mcp.core.operations import REGISTRY, Operation

_REF = "#/components/schemas/{model}"
_ERRORS = {
    400: "An argument is missing, unknown, of the wrong type or out of bounds; the body is no JSON object.",
    401: "No token, or one that is unknown, revoked or expired.",
    403: "The token lacks the scope, or user_id is not the caller's.",
    404: "No such task of this user, or (service tokens) no such user.",
    408: "The body did not arrive in time.",
    409: "The idempotency_key was used with other arguments.",
    413: "The body is larger than 256 KiB.",
    429: "Too many calls; see Retry-After.",
    500: "A fault of the server; request_id is in its log.",
    503: "The server is busy; see Retry-After.",
}


def add_tools(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook."""
    components = result.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Error"] = envelope_schema(dict(ERROR_DATA), "error")
    components.setdefault("securitySchemes", {})["token"] = {"type": "http", "scheme": "bearer"}
    for operation in REGISTRY.values():
        data = operation.output.model_json_schema(mode="serialization", ref_template=_REF)
        schemas.update(data.pop("$defs", {}))
        schemas[operation.output.__name__] = data
        result["paths"][f"/api/tools/{operation.name}"] = {"post": _describe(operation)}
    return result


def _describe(operation: Operation) -> dict[str, Any]:
    data = {"$ref": _REF.format(model=operation.output.__name__)}
    error = {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}
    done = {"application/json": {"schema": envelope_schema(data, "success")}}
    return {
        "operationId": operation.name,
        "tags": ["tools"],
        "summary": operation.title,
        "description": f"{operation.description}\n\nNeeds the scope `{operation.scope}`.",
        "security": [{"token": [operation.scope]}],
        "requestBody": {
            "required": "required" in operation.input_schema,
            "content": {"application/json": {"schema": operation.input_schema, "example": dict(operation.example)}},
        },
        "responses": {
            "200": {"description": "Done.", "content": done},
            **{str(status): {"description": said, "content": error} for status, said in _ERRORS.items()},
        },
    }
