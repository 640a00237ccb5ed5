"""The declaration of operations. A typed function under ``@operation`` is all that a transport needs.

The function's signature defines the input schema, and its return type defines the output schema. Its docstring is the
description that a language model reads. MCP, HTTP, the ``call`` command, OpenAPI and the README's table all use the
registry.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from keyword import iskeyword
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from todo_mcp.core.arguments import ADDED_BY_CLIENTS, Id, UserId, is_empty
from todo_mcp.core.envelope import Output, result_schema
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.core.validation import known_field, plain_schema, printable, reasons_of, without_none

_GIVEN = frozenset({"user_id", "own_zone"})  # parameters that are not arguments of callers

REGISTRY: dict[str, "Operation"] = {}  # the tools: exactly five
RESOURCES: dict[str, "Operation"] = {}  # operations that only REST offers


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation: its function, title and hints, and the scope that a token needs for it."""

    function: Callable[..., Output]
    title: str
    scope: str
    read_only: bool
    destructive: bool
    idempotent: bool
    example: Mapping[str, Any]
    at_least_one: tuple[str, ...] = ()
    cleared_alone: tuple[str, ...] = ()
    never_empty: tuple[str, ...] = ()
    needs_scope: Mapping[str, str] = field(default_factory=dict)
    no_arguments: Mapping[str, str] = field(default_factory=dict)
    refusal_details: Callable[[Mapping[str, str], str, object], Mapping[str, Any]] | None = None
    for_all_users: bool = False
    quotas: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def takes_zone(self) -> bool:
        """Whether the function wants to know the user's time zone."""
        return "own_zone" in inspect.signature(self.function).parameters

    @cached_property
    def description(self) -> str:
        return inspect.cleandoc(self.function.__doc__ or "")

    @cached_property
    def output(self) -> type[Output]:
        output: type[Output] = get_type_hints(self.function)["return"]
        return output

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The arguments' model, built from the signature. A default of None makes an argument optional."""
        hints = get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {}
        for name, parameter in inspect.signature(self.function).parameters.items():
            if name not in _GIVEN:
                required = parameter.default is parameter.empty
                fields[_argument(name)] = (without_none(hints[name]), ... if required else parameter.default)
        if not self.for_all_users:
            fields["user_id"] = (UserId, None)  # last, because only a service sends it
        return create_model(self.name, __config__=ConfigDict(extra="forbid"), **fields)

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments, without a top-level union, references or null: they break some clients."""
        return self.input_schema_for(frozenset(self.needs_scope.values()))

    def input_schema_for(self, scopes: frozenset[str]) -> dict[str, Any]:
        """The input schema for a token with these scopes."""
        schema = plain_schema(self.arguments.model_json_schema())
        for name in self._hidden_from(scopes):
            del schema["properties"][name]
        keywords: dict[str, Any] = {key: schema[key] for key in ("properties", "required") if key in schema}
        return {"type": "object", **keywords, "additionalProperties": False}

    def known_field(self, name: str) -> str:
        """The field that an error names, as ``tasks.due`` for ``tasks.3.due``. A name of the caller's is `unknown`."""
        return known_field(self.input_schema, name)

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of the envelope, for success and for errors."""
        return plain_schema(result_schema(self.output))

    def run(self, arguments: Mapping[str, Any], **given: Any) -> Output:
        """Call the function with validated arguments, and with those that it is given: ``user_id``, ``own_zone``."""
        return self.function(**given, **{_parameter(name): value for name, value in arguments.items()})

    def validate(self, arguments: Mapping[str, Any], scopes: frozenset[str] | None = None) -> dict[str, Any]:
        """Check and normalise the arguments that a caller sent; an argument that is left out is not in the result.

        Args:
            scopes: those of the caller's token. None: not known yet, so no argument is hidden.

        Raises:
            InvalidArguments: names each invalid argument and says what is allowed.
        """
        sent = {printable(name): value for name, value in arguments.items() if name not in ADDED_BY_CLIENTS}
        given = {name: value for name, value in sent.items() if not self._is_left_out(name, value)}
        cleared = [name for name in self.cleared_alone if sent.get(name) == ""]
        if cleared and given.keys().isdisjoint(self.at_least_one):
            given["clear"] = cleared
        try:
            model = self.arguments.model_validate(given)
        except ValidationError as error:
            hidden = set() if scopes is None else self._hidden_from(scopes)
            shown = [name for name in self.arguments.model_fields if name not in hidden]
            raise InvalidArguments(reasons_of(error, shown) | self._hints(given)) from None
        if self.at_least_one and sent.keys().isdisjoint(self.at_least_one):
            reason = f"send at least one change: {', '.join(self.at_least_one)}"
            raise InvalidArguments({self.at_least_one[0]: reason})
        return {name: getattr(model, name) for name in model.model_fields_set}

    def _hints(self, given: Mapping[str, Any]) -> dict[str, str]:
        """What to use in place of arguments that callers expect, but that are none."""
        return {name: hint for name, hint in self.no_arguments.items() if name in given}

    def refusal_for(self, arguments: Mapping[str, Any], scopes: frozenset[str], own_zone: str) -> InvalidArguments:
        """The refusal of arguments that are not valid, for a known caller. It names no argument that is hidden."""
        try:
            self.validate(arguments, scopes)
        except InvalidArguments as refusal:
            if self.refusal_details:
                fields = refusal.details["fields"]
                refusal.details |= self.refusal_details(fields, own_zone, arguments.get("time_zone"))
            return refusal
        raise AssertionError("these arguments are valid")

    def check_scopes(self, arguments: Mapping[str, Any], scopes: frozenset[str]) -> None:
        """Check that a token with these scopes may send these arguments.

        Raises:
            InvalidArguments: names each argument that the token may not send.
        """
        hidden = self._hidden_from(scopes)
        if sent := [name for name in arguments if name in hidden and not self._is_left_out(name, arguments[name])]:
            reasons = {name: f"needs a token with the scope {self.needs_scope[name]}" for name in sent}
            raise InvalidArguments(reasons)

    def _hidden_from(self, scopes: frozenset[str]) -> set[str]:
        return {name for name, scope in self.needs_scope.items() if scope not in scopes}

    def _is_left_out(self, name: str, value: object) -> bool:
        """Whether an argument is left out by its value: it is null. An optional one also if empty, or 0 for an id."""
        if name not in self._optional or name in self.never_empty:
            return value is None and name in self.arguments.model_fields
        if name == "user_id" and value == "0":  # the id of a user is text
            return False
        return is_empty(value) or (self._optional[name] and Id.is_zero(value))

    @cached_property
    def _optional(self) -> dict[str, bool]:
        """The optional arguments, and whether each is an id."""
        fields = self.arguments.model_fields.items()
        return {
            name: name == "user_id" or any(isinstance(kind, Id) and kind.minimum for kind in argument.metadata)
            for name, argument in fields
            if not argument.is_required()
        }


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
    cleared_alone: tuple[str, ...] = (),
    never_empty: tuple[str, ...] = (),
    needs_scope: Mapping[str, str] | None = None,
    no_arguments: Mapping[str, str] | None = None,
    refusal_details: Callable[[Mapping[str, str], str, object], Mapping[str, Any]] | None = None,
    for_all_users: bool = False,
    quotas: Collection[str] | None = None,
    registry: dict[str, Operation] = REGISTRY,
) -> Callable[[FunctionT], FunctionT]:
    """Register a service function as a tool, or in another registry.

    If the function has the parameter ``own_zone``, it gets the user's time zone there, or "" if it is not known.
    It follows three rules. ``RuleBroken`` stops a call that breaks the first or the last of them, and
    ``tests/core/test_operation_rules.py`` checks the second for every registered operation.

    1. It may run twice: after a deadlock, or when the caller's token must be looked up again. So all its changes are
       one transaction, and it does not change its arguments.
    2. It touches only the database. It runs on the event loop, so other waiting (a file, a socket, a lock, a sleep)
       would stop every other call.
    3. It begins with the kind of statement that it needs. After a compiled statement
       (``todo_mcp.postgres.statements``), it may use only compiled ones. After a statement of the ORM, it may use both
       kinds. Otherwise a change would have no author in its history.
       A compiled statement gives no row for the user NULL.

    Args:
        example: arguments for the documentation.
        at_least_one: optional arguments of which one must be sent, even if it is empty.
        cleared_alone: text arguments. If one is an empty string and none of ``at_least_one`` is given, the call clears
            it. It then has the name in its argument ``clear``.
        never_empty: optional arguments that only null leaves out. Their types refuse an empty value.
        needs_scope: for an optional argument, the scope that a token needs beside ``scope``. The argument is hidden
            from a token without it.
        no_arguments: for names that callers may expect as arguments, what to use in their place.
        refusal_details: makes further data for a refusal of invalid arguments. It gets the reason for each of them, the
            user's time zone, and the argument ``time_zone`` as it was sent.
        for_all_users: the operation reads rows of all users, and gets no ``user_id``. Only a service that may act for
            others may call it.
        quotas: which quotas can refuse a call: of ``tasks``, ``messages``, ``bytes``, ``writes`` and ``versions``. An
            operation that writes must say it; an empty collection means that it is never refused. The service checks
            them (``todo_mcp.quotas.usage``). A test uses up each quota and calls each operation.

    An argument whose name is a word of Python, such as ``from``, is the parameter ``from_``.

    The hints are MCP's tool annotations; no operation is open-world.
    """

    def register(function: FunctionT) -> FunctionT:
        assert function.__name__ not in registry, f"{function.__name__} is registered twice"
        assert read_only or quotas is not None, f"{function.__name__} writes, and does not say which quotas it has"
        registry[function.__name__] = Operation(
            function=function,
            title=title,
            scope=scope,
            read_only=read_only,
            destructive=destructive,
            idempotent=idempotent,
            example=example,
            at_least_one=at_least_one,
            cleared_alone=cleared_alone,
            never_empty=never_empty,
            needs_scope=needs_scope or {},
            no_arguments=no_arguments or {},
            refusal_details=refusal_details,
            for_all_users=for_all_users,
            quotas=frozenset(quotas or ()),
        )
        return function

    return register


def _argument(parameter: str) -> str:
    """The argument's name of a parameter: `from` for `from_`."""
    name = parameter.removesuffix("_")
    return name if iskeyword(name) else parameter


def _parameter(argument: str) -> str:
    return f"{argument}_" if iskeyword(argument) else argument
