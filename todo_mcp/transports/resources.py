"""REST resources in Django REST framework, over the same way of a call as the tools."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from todo_mcp.core.errors import InvalidArguments, TodoError, Unauthenticated
from todo_mcp.core.operations import RESOURCES
from todo_mcp.transports.calls import Call, bearer, clean_client, perform
from todo_mcp.transports.exchange import exchange_of, refusal


def json_body(schema: Mapping[str, Any], example: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON request body in OpenAPI's form; it may be left out where no argument is required."""
    required = "required" in schema or "oneOf" in schema
    return {"required": required, "content": {"application/json": {"schema": schema, "example": dict(example)}}}


def envelope_for(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler: what it refuses itself (405, 406) in our form."""
    if not isinstance(error, APIException):
        return None
    body = {
        "status": "error",
        "data": {"error_code": error.status_code, "error": error.default_code},
        "message": str(error.detail),
    }
    return Response(body, error.status_code)


class UnknownView(APIView):
    """A path below /api/ that is nothing."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound("There is nothing at this path. See /api/docs.")


class ResourceView(APIView):
    """Answers each HTTP method with an operation: arguments from the path, the query and the JSON body.

    The body has been read and parsed by the guard. A success is the resource itself; an error is the envelope.
    """

    operations: ClassVar[dict[str, tuple[str, int]]]  # method → operation, status of success
    parser_classes = ()
    schema = None  # openapi.py describes it, from the operations

    def __init_subclass__(cls) -> None:
        cls.http_method_names = [method.lower() for method in cls.operations]
        for method in cls.http_method_names:
            setattr(cls, method, cls._respond)

    def body_arguments(self, body: Any) -> dict[str, Any]:
        """The arguments that a body gives."""
        if not isinstance(body, dict):
            raise InvalidArguments({"body": "must be a JSON object"})
        return body

    def answer(self, data: dict[str, Any], body: Any) -> Any:
        """The resource as it is sent."""
        return data

    @classmethod
    def describe_body(cls, properties: dict[str, Any], user: dict[str, Any]) -> dict[str, Any]:
        """JSON Schema of the body of a POST, whose arguments these are."""
        return {"type": "object", "properties": {**properties, "user_id": user}, "additionalProperties": False}

    @classmethod
    def describe_answer(cls, data: dict[str, Any]) -> dict[str, Any]:
        """JSON Schema of the answer to a POST."""
        return data

    def _respond(self, request: Request, **path: Any) -> Response:
        exchange = exchange_of(request._request.scope)  # type: ignore[attr-defined]
        name, status = self.operations[str(request.method)]
        error: Unauthenticated | TodoError | None
        try:
            call = Call(
                operation=RESOURCES[name],
                arguments=self._arguments(request, exchange.message, path),
                transport="http",
                client=clean_client(request.headers.get("user-agent", "")),
                request_id=exchange.request_id,
            )
            envelope, error = perform(call, bearer(exchange.token))
        except (Unauthenticated, TodoError) as refused:
            error = refused
        if error:
            code, body, headers = refusal(error)
            return Response(body, code, headers=headers)
        return Response(None if status == 204 else self.answer(envelope["data"], exchange.message), status)

    def _arguments(self, request: Request, body: Any, path: dict[str, Any]) -> dict[str, Any]:
        """What was said in three places, as one; nothing may be said twice."""
        said = [*path.items()]
        said += [(name, value) for name, values in request.query_params.lists() for value in values]
        said += self.body_arguments(body).items() if body is not None else ()
        said += [("idempotency_key", key)] if (key := request.headers.get("Idempotency-Key")) else []
        arguments: dict[str, Any] = {}
        for name, value in said:
            if name in arguments:
                raise InvalidArguments({name: "is given twice"})
            arguments[name] = value
        return arguments
