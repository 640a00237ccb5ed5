"""One declaration per operation: a typed function under ``@operation`` is all that a transport needs.

The function's signature is the input schema, its return type the output schema, its docstring the words that a
language model reads. MCP, HTTP, the ``call`` command, OpenAPI and the README's table are made from the registry.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from todo_mcp.core.arguments import UserId
from todo_mcp.core.envelope import Output, result_schema
from todo_mcp.core.errors import InvalidArguments

MAX_FIELDS = 20  # wrong arguments that one answer names

REGISTRY: dict[str, "Operation"] = {}  # the tools: exactly five
RESOURCES: dict[str, "Operation"] = {}  # what REST alone offers


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Its function, its words, its hints and the scope a token needs for it."""

    function: Callable[..., Output]
    title: str
    scope: str
    read_only: bool
    destructive: bool
    idempotent: bool
    example: Mapping[str, Any]
    at_least_one: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def description(self) -> str:
        return inspect.cleandoc(self.function.__doc__ or "")

    @cached_property
    def output(self) -> type[Output]:
        returned: type[Output] = get_type_hints(self.function)["return"]
        return returned

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The model of the arguments, made from the signature. A default of None means: may be left out, not null."""
        hints = get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {"user_id": (UserId, None)}
        for name, parameter in inspect.signature(self.function).parameters.items():
            if name != "user_id":
                required = parameter.default is parameter.empty
                fields[name] = (_without_none(hints[name]), ... if required else parameter.default)
        return create_model(self.name, __config__=ConfigDict(extra="forbid"), **fields)

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments; no top-level union, reference or null, which break some clients."""
        schema = _plain(self.arguments.model_json_schema())
        for name, said in schema["properties"].items():
            if said.get("default", ...) is None:
                del said["default"]
            assert "description" in said, f"{self.name}.{name} has no description"
        kept: dict[str, Any] = {key: schema[key] for key in ("properties", "required") if key in schema}
        return {"type": "object", **kept, "additionalProperties": False}

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of the envelope, for success and error alike."""
        return _plain(result_schema(self.output))

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that were sent, checked and normalised.

        Raises:
            InvalidArguments: names each argument that is wrong and says what is allowed.
        """
        try:
            model = self.arguments.model_validate({_printable(name): value for name, value in arguments.items()})
        except ValidationError as error:
            raise InvalidArguments(_fields(error, self.arguments)) from None
        if self.at_least_one and not model.model_fields_set.intersection(self.at_least_one):
            said = " or ".join(self.at_least_one)
            raise InvalidArguments(dict.fromkeys(self.at_least_one, f"give at least one of {said}"))
        return {name: getattr(model, name) for name in model.model_fields_set}


FunctionT = TypeVar("FunctionT", bound=Callable[..., Output])


def operation(
    *,
    title: str,
    scope: str,
    example: Mapping[str, Any],
    read_only: bool = False,
    destructive: bool = False,
    idempotent: bool = False,
    at_least_one: tuple[str, ...] = (),
    registry: dict[str, Operation] = REGISTRY,
) -> Callable[[FunctionT], FunctionT]:
    """Register a service function as a tool, or in another registry.

    The function follows three rules. ``RuleBroken`` stops a call that breaks the first or the last of them, and
    ``tests/core/test_operation_rules.py`` holds every registered operation to the second.

    1. It may run twice: after a deadlock, or when the caller's token must be looked up again. So all its changes are
       one transaction, and it does not change its arguments.
    2. It touches only the database. It runs on the event loop, so other waiting (a file, a socket, a lock, a sleep)
       would stop every other call.
    3. It begins with the kind of statement that it needs. After a compiled statement
       (``todo_mcp.postgres.statements``) come only compiled ones. After a statement of the ORM both kinds may come.
       Otherwise a change would have no author in its history.

    Args:
        example: arguments for the documentation.
        at_least_one: optional arguments of which one must be given.

    The hints are MCP's tool annotations; no operation is open-world.
    """

    def register(function: FunctionT) -> FunctionT:
        assert function.__name__ not in registry, f"{function.__name__} is registered twice"
        registry[function.__name__] = Operation(
            function=function,
            title=title,
            scope=scope,
            read_only=read_only,
            destructive=destructive,
            idempotent=idempotent,
            example=example,
            at_least_one=at_least_one,
        )
        return function

    return register


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema with its definitions written where they are used, and without pydantic's titles, which say nothing.

    Our definitions never refer to themselves.
    """
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        referred = definitions[value["$ref"].rsplit("/", 1)[1]] if "$ref" in value else {}
        kept = {**referred, **value}
        if isinstance(kept.get("title"), str):  # a property of that name is an object
            del kept["title"]
        return {key: resolve(inner) for key, inner in kept.items() if key != "$ref"}

    resolved: dict[str, Any] = resolve(schema)
    return resolved


def _without_none(hint: Any) -> Any:
    """``X`` for ``X | None``: an optional argument is left out, never null."""
    kept = [option for option in get_args(hint) if option is not NoneType]
    return kept[0] if NoneType in get_args(hint) else hint


def _printable(name: str) -> str:
    """An argument's name as it may be told back: what a caller made up is escaped and kept short."""
    return name if name.isascii() and name.isprintable() and len(name) <= 64 else ascii(name)[1:-1][:64]


def _fields(error: ValidationError, arguments: type[BaseModel]) -> dict[str, str]:
    """Each wrong argument with the reason, in our words."""
    reasons = {
        "missing": "is required",
        "string_type": "must be a string",
        "extra_forbidden": f"unknown argument; allowed are {', '.join(arguments.model_fields)}",
    }
    fields = {}
    for wrong in error.errors(include_url=False, include_input=False)[:MAX_FIELDS]:
        reason = reasons.get(wrong["type"], wrong["msg"])
        if wrong["type"] == "literal_error":
            reason = f"must be one of {wrong['ctx']['expected']}"
        elif wrong["type"] == "extra_forbidden" and len(wrong["loc"]) > 1:
            reason = "unknown field"  # of an argument; the list is of the arguments
        fields[".".join(_printable(str(part)) for part in wrong["loc"])] = reason
    return fields
