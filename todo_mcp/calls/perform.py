"""The one way of a call, whoever carries it: token, scope, arguments, user, operation, envelope.

``perform`` runs behind the gate (``database_gate``), or in a command. What it logs and counts is the same for all.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from todo_mcp.auth.principal import Principal, assume, authenticate, note_use
from todo_mcp.auth.rate_limit import check_rate
from todo_mcp.core.envelope import Envelope, Output, failure, success
from todo_mcp.core.errors import (
    Busy,
    ConnectionLost,
    InternalError,
    InvalidArguments,
    RateLimited,
    TodoError,
    Unauthenticated,
)
from todo_mcp.core.operations import Operation
from todo_mcp.postgres.connection import database_time
from todo_mcp.postgres.greenlets import sleep
from todo_mcp.postgres.history import history_context
from todo_mcp.postgres.statements import Guard, Unmet, operation_run
from todo_mcp.statistics.recorder import recorder
from todo_mcp.telemetry.logs import describe
from todo_mcp.telemetry.metrics import count_call

logger = logging.getLogger(__name__)
T = TypeVar("T")

ATTEMPTS = 3
_RETRIABLE = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_TIMED_OUT = frozenset({"57014", "55P03"})  # query_canceled, lock_not_available


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of an operation as it came in. ``client`` is what the caller says of itself."""

    operation: Operation
    arguments: Mapping[str, Any]
    transport: str
    request_id: str
    revision: str = ""
    client: str = ""


class Identify(Protocol):
    """Tells who calls; for a service, also whether the user is active whom the arguments name."""

    def __call__(self, target: str | None) -> Principal: ...


class Assume(Protocol):
    """Tells who called with this token before, and the guard under which alone that may be relied on."""

    def __call__(self, target: str | None) -> tuple[Principal, Guard] | None: ...


def perform(call: Call, identify: Identify, assume: Assume = lambda target: None) -> tuple[Envelope, TodoError | None]:
    """Do the call and answer with its envelope, and the error that it tells where there is one.

    Raises:
        Unauthenticated: the token is not good; nothing else was looked at.
    """
    started = time.perf_counter()
    error: TodoError | None = None
    asked = _Asked(call)
    try:
        envelope = success(asked.under_guard(assume) or asked.authenticated(identify))
    except Unauthenticated:
        raise
    except TodoError as caught:
        error = caught
    except DatabaseError as caught:
        error = _database_error(caught, call, admitted=asked.user_id is not None)
    except Exception as caught:
        error = _defect(caught, call)
    if error:
        envelope = failure(error)
    _record(call, asked.user_id, error, time.perf_counter() - started)
    return envelope, error


def perform_for(call: Call, token: str) -> tuple[Envelope, TodoError | None]:
    """Do the call of the bearer of a token; ``perform`` says how."""
    return perform(call, bearer(token), lambda target: assume(token, target=target))


class _Asked:
    """A call whose arguments have been looked at, and for whom it is done once that is known."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.user_id: str | None = None
        self._counted = False
        self._limited: RateLimited | None = None
        self._invalid: InvalidArguments | None = None
        self._arguments: dict[str, Any] = {}
        try:
            self._arguments = call.operation.validate(call.arguments)
        except InvalidArguments as error:
            self._invalid = error  # told only to a caller who may know
        self._target: str | None = self._arguments.pop("user_id", None)

    def under_guard(self, assume: Assume) -> Output | None:
        """The operation's result, if it could be had in the statements that make sure of the token as well.

        None where that could not be, for whatever reason; nothing was done then.
        """
        assumed = assume(self._target) if self._invalid is None else None
        if assumed is None:
            return None
        principal, guard = assumed
        self._count(principal)
        if self._limited:
            return None
        try:
            output = self._operate(principal, guard)
            if guard.met:
                return output
        except (TodoError, Unmet):
            if guard.met:
                raise
        except (InterfaceError, OperationalError) as error:
            if not self.call.operation.read_only or _sqlstate(error) in _TIMED_OUT | _RETRIABLE:
                raise
            connection.close()  # it was dead; a question may be asked again
        finally:
            if guard.met:
                note_use(principal)
        return None

    def authenticated(self, identify: Identify) -> Output:
        principal = identify(self._target)
        self.user_id = None
        self._count(principal)
        if self._limited:
            raise self._limited
        if self._invalid:
            principal.require(self.call.operation.scope)
            raise self._invalid
        return self._operate(principal)

    def _count(self, principal: Principal) -> None:
        """Count the call, once: one that is refused too, and one of a token that proves to have ended since.

        The latter is forgotten then, so that it counts for its former user no second time.
        """
        if self._counted:
            return
        self._counted = True
        try:
            check_rate(principal.user_id or self._target or principal.token_name)
        except RateLimited as error:
            self._limited = error

    def _operate(self, principal: Principal, guard: Guard | None = None) -> Output:
        principal.require(self.call.operation.scope)
        user_id = self.user_id = principal.acting_for(self._target)
        return retrying(lambda: self._run(user_id, principal, guard))

    def _run(self, user_id: str, principal: Principal, guard: Guard | None) -> Output:
        history = history_context(
            user=user_id,
            token=principal.token_id,
            token_name=principal.token_name,
            client=self.call.client,
            tool=self.call.operation.name,
            compiled=guard is not None,
            transport=self.call.transport,
            request_id=self.call.request_id,
        )
        with operation_run(guard), history:  # in this order: the run sees statements before pghistory adds to them
            return self.call.operation.function(user_id=user_id, **self._arguments)


def authenticate_alone(token: str) -> Principal:
    """The principal of a request that calls no operation.

    Raises:
        Unauthenticated: the token is not good.
        Busy: the database is out of reach.
    """
    try:
        return bearer(token)(None)
    except (InterfaceError, OperationalError) as error:
        logger.warning("database unavailable", extra=describe(error))
        raise Busy from error


def bearer(token: str) -> Identify:
    """Identify by a bearer token. The first statement of a call: if the connection turns out dead, take a new one."""

    def identify(target: str | None) -> Principal:
        try:
            return authenticate(token, target=target)
        except (InterfaceError, OperationalError) as error:
            if _sqlstate(error) in _TIMED_OUT:
                raise  # the connection is good
            connection.close()
            return authenticate(token, target=target)

    return identify


def retrying(work: Callable[[], T]) -> T:
    """Do a whole transaction again where PostgreSQL gave it up for another's sake: at most 3 times, with jitter."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except OperationalError as error:
            if attempt == ATTEMPTS or _sqlstate(error) not in _RETRIABLE:
                raise
            sleep(random.uniform(0.005, 0.02) * attempt)  # noqa: S311 (jitter, not a secret)
    raise AssertionError("unreachable")


def clean_client(said: str) -> str:
    """A client's name for itself, fit for logs and history: printable, at most 100 characters."""
    return "".join(char for char in said if char.isprintable())[:100]


def _sqlstate(error: Exception) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def _database_error(error: DatabaseError, call: Call, *, admitted: bool) -> TodoError:
    """Busy where the database was too slow or away; everything else is a defect."""
    state = _sqlstate(error)
    if state in _TIMED_OUT or state in _RETRIABLE:
        return Busy()
    if isinstance(error, (InterfaceError, OperationalError)):
        logger.warning("database unavailable", extra={"tool": call.operation.name, **describe(error)})
        return ConnectionLost() if admitted and not call.operation.read_only else Busy()
    return _defect(error, call)


def _defect(error: Exception, call: Call) -> InternalError:
    logger.error("defect", extra={"tool": call.operation.name, **describe(error)})
    return InternalError(call.request_id)


def _record(call: Call, user_id: str | None, error: TodoError | None, seconds: float) -> None:
    outcome = error.name if error else "success"
    database_seconds = database_time.get().seconds
    count_call(call.operation.name, call.transport, call.revision, outcome, seconds, database_seconds)
    recorder.record(
        tool=call.operation.name,
        outcome=outcome,
        transport=call.transport,
        client=call.client,
        revision=call.revision,
        seconds=seconds,
        request_id=call.request_id,
    )
    logger.info(
        "call",
        extra={
            "tool": call.operation.name,
            "outcome": outcome,
            "user": user_id,
            "transport": call.transport,
            "revision": call.revision,
            "client": call.client,
            "milliseconds": round(seconds * 1000, 2),
            "database_milliseconds": round(database_seconds * 1000, 2),
        },
    )
