"""Adds the operations to the OpenAPI document, from their declarations and the REST views that offer them."""

import re
from collections.abc import Iterator, Set
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from todo_mcp.core.envelope import ERROR_DATA, envelope_schema
from todo_mcp.core.operations import REGISTRY, RESOURCES, Operation
from todo_mcp.transports.http.resources import BODY_METHODS, ResourceView, json_body

_REF = "#/components/schemas/{model}"
_ERRORS = {
    400: "An argument is missing, unknown, of the wrong type or out of bounds; or the body is not the expected JSON.",
    401: "No token, or one that is unknown, revoked or expired.",
    403: "The token lacks the scope, or user_id is not the caller's, or a quota is used up.",
    404: "This user has no such task, conversation or message, or (service tokens) there is no such user.",
    408: "The body did not arrive in time.",
    409: "The idempotency key was used with other arguments; or a ref is taken, or expected_last is not the last.",
    413: "The body is too large.",
    415: "Content-Type is neither application/json nor application/x-www-form-urlencoded, which curl sends.",
    429: "Too many calls; see Retry-After.",
    500: "A fault of the server; request_id is in its log.",
    503: "The server is busy; see Retry-After.",
}
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_SECONDS = {"description": "Wait this many seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}
_CHALLENGE = {"description": "What the token lacks (RFC 6750).", **_TEXT}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {**_CHALLENGE, "required": True}},
    403: {"WWW-Authenticate": _CHALLENGE, "Retry-After": {**_SECONDS, "required": False}},
    429: {"Retry-After": _SECONDS},
    503: {"Retry-After": _SECONDS},
}
_REQUEST_ID = {
    "X-Request-Id": {"description": "The request's own id, or a new one. The log has it.", "required": True, **_TEXT}
}


def add_operations(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook."""
    components = result.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Error"] = envelope_schema(dict(ERROR_DATA), "error")
    components.setdefault("securitySchemes", {})["token"] = {"type": "http", "scheme": "bearer"}
    for operation in (*REGISTRY.values(), *RESOURCES.values()):
        data = operation.output.model_json_schema(mode="serialization", ref_template=_REF)
        schemas.update(data.pop("$defs", {}))
        if "stored" not in operation.output.model_fields:  # the answer is what is stored
            schemas[operation.output.__name__] = data
    for operation in REGISTRY.values():
        result["paths"][f"/api/tools/{operation.name}"] = {"post": _tool(operation)}
    for path, view in _resource_views(get_resolver().url_patterns, "/"):
        result["paths"][path] = {
            method.lower(): _resource(RESOURCES[name], status, view, path, method)
            for method, (name, status) in view.operations.items()
        }
    return result


def _tool(operation: Operation) -> dict[str, Any]:
    done = envelope_schema({"$ref": _REF.format(model=operation.output.__name__)}, "success")
    return {
        **_operation_object(operation, "tools", 200, done, errors=_ERRORS.keys() - {415}),
        "requestBody": json_body(operation.input_schema, operation.example),
    }


def _resource(operation: Operation, status: int, view: type[ResourceView], path: str, method: str) -> dict[str, Any]:
    """An operation over REST: arguments are in the path, in one header, and in the query or the body."""
    properties = dict(operation.input_schema["properties"])
    parameters = [
        _parameter(name, properties.pop(name), "path", is_required=True) for name in re.findall(r"{(\w+)}", path)
    ]
    if key := properties.pop("idempotency_key", None):
        parameters.append(_parameter("Idempotency-Key", key, "header"))
    data = {"$ref": _REF.format(model=operation.output.__name__)}
    body: dict[str, Any] = {}
    required = operation.input_schema.get("required", ())
    if method in BODY_METHODS:
        in_query = {name: properties.pop(name) for name in ("user_id", *view.in_query) if name in properties}
        data = view.describe_answer(data) if method == "POST" else _stored(operation, data)
        schema = view.describe_body(properties, in_query["user_id"])
        if method != "POST" and (names := [name for name in properties if name in required]):
            schema["required"] = names
        body = {"requestBody": json_body(schema, operation.example)}
        properties = in_query
    parameters += [
        _parameter(name, schema, "query", is_required=name in required) for name, schema in properties.items()
    ]
    done = None if status == 204 else data
    impossible = {409, 415} if method not in BODY_METHODS else {409} if method == "PATCH" else set[int]()
    errors = _ERRORS.keys() - impossible
    tag = operation.function.__module__.partition(".")[0]
    described = _operation_object(operation, tag, status, done, errors)
    if method == "PUT":
        described["responses"]["201"] = _response(201, "Made.", done)
    return {**described, "parameters": parameters, **body}


def _stored(operation: Operation, data: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of the answer to a PUT or a PATCH."""
    field = operation.output.model_fields.get("stored")
    return {"$ref": _REF.format(model=field.annotation.__name__)} if field and field.annotation else data


def _operation_object(
    operation: Operation, tag: str, status: int, done: dict[str, Any] | None, errors: Set[int]
) -> dict[str, Any]:
    error = {"$ref": _REF.format(model="Error")}
    also = " of a service, and `tasks:act_as`" if operation.for_all_users else ""
    return {
        "operationId": operation.name,
        "tags": [tag],
        "summary": operation.title,
        "description": f"{operation.description}\n\nNeeds the scope `{operation.scope}`{also}.",
        "security": [{"token": []}],
        "responses": {
            str(status): _response(status, "Done.", done),
            **{str(code): _response(code, _ERRORS[code], error) for code in sorted(errors)},
        },
    }


def _response(status: int, description: str, schema: dict[str, Any] | None) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": schema}}} if schema else {}
    return {"description": description, "headers": _REQUEST_ID | _HEADERS.get(status, {}), **content}


def _parameter(name: str, described_schema: dict[str, Any], where: str, *, is_required: bool = False) -> dict[str, Any]:
    schema = {key: value for key, value in described_schema.items() if key != "description"}
    parameter = {"name": name, "in": where, "description": described_schema["description"], "schema": schema}
    return {**parameter, "required": True} if is_required else parameter


def _resource_views(patterns: list[Any], prefix: str) -> Iterator[tuple[str, type[ResourceView]]]:
    for pattern in patterns:
        path = prefix + re.sub(r"<(\w+)>", r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _resource_views(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "view_class", None)
            if view and issubclass(view, ResourceView):
                yield path, view
