"""REST resources in Django REST framework. Their calls pass the same steps as calls of tools."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from django.core.exceptions import SuspiciousOperation
from django.http import Http404
from rest_framework.exceptions import APIException, NotFound, UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from starlette.types import Scope

from todo_mcp.calls.bearer import authenticate_alone, bearer
from todo_mcp.calls.call import Call, clean_client
from todo_mcp.calls.perform import perform
from todo_mcp.core.arguments import is_empty
from todo_mcp.core.envelope import to_json
from todo_mcp.core.errors import InternalError, InvalidArguments, TodoError, Unauthenticated
from todo_mcp.core.operations import RESOURCES, Operation
from todo_mcp.telemetry.logs import describe_error
from todo_mcp.telemetry.refused_tokens import record_refusal
from todo_mcp.transports.http.checked_request import CheckedRequest, checked_request
from todo_mcp.transports.http.refusals import METHOD_ADVICE, count_refusal, refusal_parts
from todo_mcp.transports.http.request_headers import may_hold_json

logger = logging.getLogger(__name__)

JSON = "application/json"
BODY_METHODS = ("POST", "PUT", "PATCH")  # their arguments are in the body
_ADVICE = {
    404: "There is nothing at this path. See /api/docs.",
    405: f"{METHOD_ADVICE} See /api/docs.",
    406: "Accept allows no form of this answer; send Accept: */*, or no Accept at all.",  # of a library's view
    415: f"Send the body as JSON, with Content-Type: {JSON}.",
}


def json_body(schema: Mapping[str, Any], example: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON request body in OpenAPI's form. It is optional if no argument is required."""
    required = "required" in schema or "oneOf" in schema
    return {"required": required, "content": {JSON: {"schema": schema, "example": dict(example)}}}


class Renderer(BaseRenderer):
    """JSON as the tools send it."""

    media_type = JSON
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else to_json(data)


class Negotiation(DefaultContentNegotiation):
    """The answer is JSON whatever the Accept header says (RFC 9110, section 12.5.1), as the tools' answers are."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return next(iter(renderers)), JSON


def envelope_for(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's exception handler: the answer to a request that is no call.

    Only a caller with a valid token learns what is wrong; others get 401.
    """
    checked = checked_request(context["request"]._request.scope)
    if isinstance(error, Http404):
        error = NotFound()
    elif isinstance(error, SuspiciousOperation):
        error = InvalidArguments({"query": "is not usable"})  # it has more than a thousand names
    elif not isinstance(error, (APIException, TodoError, Unauthenticated)):
        logger.error("defect", extra=describe_error(error))
        error = InternalError(checked.request_id)
    try:
        if checked.token and not isinstance(error, Unauthenticated):
            authenticate_alone(checked.token)
    except (Unauthenticated, TodoError) as refusal:
        error = refusal
    if isinstance(error, Unauthenticated):
        record_refusal(error)
    status, body, headers = _parts(error)
    count_refusal(status, "http")
    return Response(body, status, headers=headers)


def _parts(error: APIException | TodoError | Unauthenticated) -> tuple[int, dict[str, Any], dict[str, str]]:
    if not isinstance(error, APIException):
        return refusal_parts(error)
    data = {"error_code": error.status_code, "error": error.default_code}
    return error.status_code, {"status": "error", "data": data, "message": _ADVICE.get(error.status_code, "")}, {}


class EnvelopeView(APIView):
    """Base of the views: RequestChecks has read and parsed the body, and answers have the form of tools' answers."""

    parser_classes = ()
    renderer_classes = (Renderer,)
    content_negotiation_class = Negotiation
    schema = None  # openapi.py describes it from the operations

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response._has_been_logged = True  # as a call; Django would log a warning for each mistake of a caller
        return super().finalize_response(request, response, *args, **kwargs)


class ReadOnly(APIView):
    """Mixin for a library's view: GET and HEAD read it, and the envelope refuses every other method."""

    http_method_names = ["get", "head"]  # REST framework's OPTIONS fails where a template renders the answer

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if response.exception:
            response._has_been_logged = True
            request.accepted_renderer, request.accepted_media_type = Renderer(), JSON
        return super().finalize_response(request, response, *args, **kwargs)


class UnknownView(EnvelopeView):
    """Answers 404 for an unknown path below /api/."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound


class ResourceView(EnvelopeView):
    """Answers each HTTP method with an operation. Arguments come from the path, the query and the JSON body.

    A success is the resource itself; an error is the envelope. The operation of a PUT returns the resource as
    ``stored``, and says with ``is_new`` whether it made the resource: the status is then 201.
    """

    operations: ClassVar[dict[str, tuple[str, int]]]  # maps a method to its operation and the status of success
    in_query: ClassVar[tuple[str, ...]] = ()  # arguments of a POST that are in the query

    def __init_subclass__(cls) -> None:
        cls.http_method_names = [method.lower() for method in cls.operations]
        for method in cls.http_method_names:
            setattr(cls, method, cls._respond)

    @property
    def _scope(self) -> Scope:
        return self.request._request.scope  # type: ignore[attr-defined,no-any-return]

    def body_arguments(self, body: Any) -> dict[str, Any]:
        """The arguments in a body."""
        if not isinstance(body, dict):
            raise InvalidArguments({"body": "must be a JSON object"})
        return body

    def answer(self, data: dict[str, Any], body: Any) -> Any:
        """The resource, as the answer contains it."""
        return data["stored"] if self.request.method == "PUT" else data

    def explain(self, error: TodoError, body: Any) -> TodoError:
        """The error, with field names as they are in the body."""
        return error

    @classmethod
    def describe_body(cls, properties: dict[str, Any], user: dict[str, Any]) -> dict[str, Any]:
        """JSON Schema of a body with these arguments."""
        return {"type": "object", "properties": {**properties, "user_id": user}, "additionalProperties": False}

    @classmethod
    def describe_answer(cls, data: dict[str, Any]) -> dict[str, Any]:
        """JSON Schema of the answer to a POST."""
        return data

    def _respond(self, request: Request, **path: Any) -> Response:
        checked = checked_request(self._scope)
        name, status = self.operations[str(request.method)]
        operation = RESOURCES[name]
        call = Call(
            operation=operation,
            arguments=self._arguments(operation, checked, path),
            transport="http",
            client=clean_client(request.headers.get("user-agent", "")),
            request_id=checked.request_id,
        )
        envelope, error = perform(call, bearer(checked.token))
        if error:
            code, body, headers = refusal_parts(self.explain(error, checked.message))
            return Response(body, code, headers=headers)
        data = envelope["data"]
        if data.get("is_new"):
            status = 201
        return Response(None if status == 204 else self.answer(data, checked.message), status)

    def _arguments(self, operation: Operation, checked: CheckedRequest, path: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of path, query, header and body together. None may occur twice.

        Unknown arguments are left for the operation to reject.
        """
        fields = operation.arguments.model_fields
        pairs = [*path.items(), *self._query()]
        pairs += self._body(checked) if self.request.method in BODY_METHODS else self._no_body()
        arguments: dict[str, Any] = {}
        for name, value in pairs:
            if name in fields and is_empty(value):  # left out, if it is optional
                arguments.setdefault(name, value)
                continue
            if name in fields and not is_empty(arguments.get(name)):
                raise InvalidArguments({name: "is given twice"})
            arguments[name] = value
        return arguments

    def _query(self) -> list[tuple[str, str]]:
        """The pairs of the query. Beside a body, it may hold only ``user_id`` and, with POST, ``in_query``."""
        query: bytes = self._scope["query_string"]
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        if self.request.method in BODY_METHODS:
            allowed = ("user_id", *(self.in_query if self.request.method == "POST" else ()))
            if any(name not in allowed for name, _ in pairs):
                raise InvalidArguments({"query": f"may hold only {', '.join(allowed)}"})
            if empty := {name: "must not be empty" for name, value in pairs if name in self.in_query and not value}:
                raise InvalidArguments(empty)  # a condition that is left out by mistake would do harm
        return pairs

    def _body(self, checked: CheckedRequest) -> list[tuple[str, Any]]:
        headers: list[tuple[bytes, bytes]] = self._scope["headers"]
        is_key_known = self.request.method == "POST"  # a PUT and a PATCH need none
        keys = [
            ("idempotency_key", value.decode("latin-1"))
            for name, value in headers
            if name == b"idempotency-key" and is_key_known
        ]
        if not checked.has_body:
            return keys
        if not may_hold_json(headers):
            raise UnsupportedMediaType(self.request.headers["content-type"])
        return [*keys, *self.body_arguments(checked.message).items()]

    def _no_body(self) -> list[tuple[str, Any]]:
        if self.request._request.read(1):
            raise InvalidArguments({"body": f"has no meaning with {self.request.method}; use the query"})
        return []
