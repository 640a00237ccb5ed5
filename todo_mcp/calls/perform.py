"""The steps of a call, the same for every transport: arguments, token, rate, scope, user, operation, envelope.

``perform`` runs behind the gate (``postgres.gate``), or in a command. Logs and counts are the same for all.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from todo_mcp.auth.authentication import note_use, recall_principal
from todo_mcp.auth.principal import Principal
from todo_mcp.auth.rate_limit import check_rate
from todo_mcp.calls.bearer import Identify, bearer
from todo_mcp.calls.call import Call
from todo_mcp.calls.refused import keep_refused
from todo_mcp.calls.retries import RETRIABLE, TIMED_OUT, retrying
from todo_mcp.core.arguments import named_user
from todo_mcp.core.database_causes import DatabaseCause
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
from todo_mcp.postgres.connection import database_time
from todo_mcp.postgres.health.causes import sqlstate_of
from todo_mcp.postgres.health.diagnosis import diagnose
from todo_mcp.postgres.history import history_context
from todo_mcp.postgres.operation_run import Condition, OperationRun, Unmet
from todo_mcp.postgres.wall import behind_wall
from todo_mcp.quotas.usage import usages
from todo_mcp.statistics.recorder import recorder
from todo_mcp.statistics.token_days import token_days
from todo_mcp.telemetry.logs import describe_error
from todo_mcp.telemetry.metrics import count_call

logger = logging.getLogger(__name__)

Recall = Callable[[str | None], tuple[Principal, Condition] | None]


def perform(call: Call, identify: Identify, recall: Recall = lambda target: None) -> tuple[Envelope, TodoError | None]:
    """Do the call. Returns its envelope, and the error that the envelope reports, if there is one.

    Args:
        identify: returns the caller; its argument is the user whom the call names.
        recall: returns the caller if the worker remembers the token, and the condition under which it is still valid.

    Raises:
        Unauthenticated: the token is not valid; the caller learns nothing else.
    """
    started = time.perf_counter()
    error: TodoError | None = None
    steps = _CallSteps(call)
    try:
        envelope = success(steps.do_with_remembered_token(recall) or steps.do_with_token_lookup(identify))
    except Unauthenticated:
        raise
    except TodoError as refusal:
        error = refusal
    except (DatabaseError, InterfaceError) as failed:
        error = _database_error(failed, call, may_be_done=steps.may_be_done(failed))
    except Exception as defect:
        error = _defect(defect, call)
    if error:
        envelope = failure(error)
        keep_refused(call, steps.principal, steps.target, error)
    task_id = steps.task_id or envelope["data"].get("task_id")
    if caller := steps.principal:
        token_days.count(caller.token_id, caller.user_id, call.client, error, read_only=call.operation.read_only)
    _record(call, steps.user_id, task_id, error, time.perf_counter() - started)
    return envelope, error


def perform_for(call: Call, token: str) -> tuple[Envelope, TodoError | None]:
    """Do the call as ``perform`` does, for the bearer of this token."""
    return perform(call, bearer(token), lambda target: recall_principal(token, target=target))


class _CallSteps:
    """The steps of one call: first the arguments are validated, then the caller is identified.

    ``user_id`` is the user whose data the call is about, once the caller, ``principal``, is known. ``target`` is the
    user whom the call names. ``task_id`` is a valid argument.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        self.user_id: str | None = None
        self.principal: Principal | None = None
        self._is_counted = False
        self._over_limit: RateLimited | None = None
        self._is_valid = True
        self._arguments: dict[str, Any] = {}
        self._last_run: OperationRun | None = None
        try:
            self._arguments = call.operation.validate(call.arguments)
            self.target: str | None = self._arguments.pop("user_id", None)
        except InvalidArguments:
            self._is_valid = False  # reported only to a caller with a valid token
            self.target = named_user(call.arguments)
        self.task_id: int | None = self._arguments.get("task_id")

    def do_with_remembered_token(self, recall: Recall) -> Output | None:
        """Run the operation; its statements check the token too. None if that was not possible and nothing was done."""
        remembered = recall(self.target) if self._is_valid else None
        if remembered is None:
            return None
        principal, condition = remembered
        self._count(principal)
        if self._over_limit:
            return None
        try:
            output = self._operate(principal, condition)
            return output if condition.is_met else None
        except (TodoError, Unmet):
            if condition.is_met:
                raise
        except (InterfaceError, OperationalError) as error:
            if not self.call.operation.read_only or sqlstate_of(error) in TIMED_OUT | RETRIABLE:
                raise
            logger.debug("the connection was lost; the read runs again", extra={"sqlstate": sqlstate_of(error)})
            connection.close()  # it was dead; reading may be repeated
        finally:
            if condition.is_met:
                note_use(principal)
        return None

    def do_with_token_lookup(self, identify: Identify) -> Output:
        """Look the caller up, then run the operation."""
        self.user_id = self.principal = self._last_run = None
        principal = identify(self.target)
        self._count(principal)
        if self._over_limit:
            raise self._over_limit
        if not self._is_valid:
            self._admit(principal)
            self.call.operation.check_scopes(self.call.arguments, principal.scopes)
            raise self.call.operation.refusal_for(self.call.arguments, principal.scopes, principal.time_zone)
        return self._operate(principal)

    def _count(self, principal: Principal) -> None:
        """The caller is known. Count the call once, also if it is refused.

        After a token has ended, the first call with it still counts for its user. The worker then forgets the token,
        so further calls do not count.
        """
        self.principal = principal
        if self._is_counted:
            return
        self._is_counted = True
        try:
            check_rate(principal.user_id or self.target or f"\0{principal.token_name}")  # no user has such an id
        except RateLimited as error:
            self._over_limit = error

    def _admit(self, principal: Principal) -> None:
        principal.require(self.call.operation.scope)
        if self.call.operation.for_all_users:
            principal.require_service()

    def _operate(self, principal: Principal, condition: Condition | None = None) -> Output:
        self._admit(principal)
        self.call.operation.check_scopes(self._arguments, principal.scopes)
        user_id = self.user_id = None if self.call.operation.for_all_users else principal.acting_for(self.target)
        return retrying(lambda: self._run(user_id, principal, condition))

    def _run(self, user_id: str | None, principal: Principal, condition: Condition | None) -> Output:
        given: dict[str, str] = {} if user_id is None else {"user_id": user_id}
        if self.call.operation.takes_zone:
            given["own_zone"] = principal.time_zone
        history = self._history(user_id, principal, condition)
        run = self._last_run = OperationRun(condition)
        with behind_wall(user_id), run, history:  # in this order: the run sees statements before pghistory adds to them
            output = self.call.operation.run(self._arguments, **given)
        if user_id is not None and run.use.writes:
            usages.record(user_id, run.use)
        return output

    def may_be_done(self, error: Exception) -> bool:
        """Whether the operation may have been done in spite of this error."""
        return self._last_run is not None and self._last_run.may_be_done(error)

    def _history(
        self, user_id: str | None, principal: Principal, condition: Condition | None
    ) -> AbstractContextManager[None]:
        if self.call.operation.read_only:
            return nullcontext()
        return history_context(
            user=user_id,
            token=principal.token_id,
            token_name=principal.token_name,
            service=principal.user_id is None,
            client=self.call.client,
            tool=self.call.operation.name,
            compiled=condition is not None,
            transport=self.call.transport,
            request_id=self.call.request_id,
        )


def _database_error(error: DatabaseError | InterfaceError, call: Call, *, may_be_done: bool) -> TodoError:
    """Busy if the database could not do the work; any other error is a defect."""
    cause = diagnose(error)
    if cause is None:
        return _defect(error, call)
    if cause not in (DatabaseCause.TIMEOUT, DatabaseCause.CONFLICT):
        extra = {"tool": call.operation.name, "cause": cause, **describe_error(error)}
        logger.warning("database unavailable", extra=extra)
    return ConnectionLost() if may_be_done else Busy()


def _defect(error: Exception, call: Call) -> InternalError:
    logger.error("defect", extra={"tool": call.operation.name, **describe_error(error)})
    return InternalError(call.request_id)


def _record(call: Call, user_id: str | None, task_id: int | None, error: TodoError | None, seconds: float) -> None:
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
            **({"task_id": task_id} if task_id else {}),
            "transport": call.transport,
            "revision": call.revision,
            "client": call.client,
            "milliseconds": round(seconds * 1000, 2),
            "database_milliseconds": round(database_seconds * 1000, 2),
        },
    )
