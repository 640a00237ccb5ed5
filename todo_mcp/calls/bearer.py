"""Authenticate the bearer of a token, also on a connection that turns out to be dead."""

import logging
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.principal import Principal
from todo_mcp.calls.retries import TIMED_OUT
from todo_mcp.core.errors import Busy
from todo_mcp.postgres.health.causes import sqlstate_of
from todo_mcp.postgres.health.diagnosis import diagnose
from todo_mcp.telemetry.logs import describe_error

logger = logging.getLogger(__name__)

Identify = Callable[[str | None], Principal]  # takes the user whom the arguments name; returns the caller


def bearer(token: str) -> Identify:
    """Identify the caller by a bearer token.

    This is the first statement of a call. If the connection is dead, it is repeated on a new one.
    """

    def identify(target: str | None) -> Principal:
        try:
            return authenticate(token, target=target)
        except (InterfaceError, OperationalError) as error:
            if sqlstate_of(error) in TIMED_OUT:
                raise  # the connection is good
            connection.close()
            return authenticate(token, target=target)

    return identify


def authenticate_alone(token: str) -> Principal:
    """The principal of a request that calls no operation.

    Raises:
        Unauthenticated: the token is not valid.
        Busy: the database is out of reach.
    """
    try:
        return bearer(token)(None)
    except (DatabaseError, InterfaceError) as error:
        if (cause := diagnose(error)) is None:
            raise
        logger.warning("database unavailable", extra={"cause": cause, **describe_error(error)})
        raise Busy from error
