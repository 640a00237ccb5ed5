"""The endpoints for load balancers and Prometheus, and whether this process is draining."""

import logging
from collections.abc import Awaitable, Callable
from hmac import compare_digest

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from todo_mcp.core.errors import Busy, Unauthenticated
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.postgres import wall
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.telemetry.logs import describe_error
from todo_mcp.telemetry.metrics import exposition
from todo_mcp.telemetry.refused_tokens import record_refusal

logger = logging.getLogger(__name__)
_PROBE = ("probe",)  # strangers may ask too, so probes together have one share of the places
Endpoint = Callable[[Request], Awaitable[Response]]

# Not an Event: a second signal can interrupt the handler that holds its lock, which would then never be released.
_draining = False


def start_draining() -> None:
    """Fail /readyz from now on, so that a load balancer sends no more requests."""
    global _draining
    _draining = True


def is_draining() -> bool:
    return _draining


async def healthz(request: Request) -> Response:
    """Alive: the event loop runs. It ignores the database, so that a restart of the database restarts no server."""
    return PlainTextResponse("ok\n")


def readyz(gate: DatabaseGate) -> Endpoint:
    """Ready: not draining, the database answers, every migration is applied. Otherwise 503 with the reason.

    The body also says if the server works without row-level security.
    """
    migrated = False
    body = "ready\n"

    def problem() -> str:
        nonlocal migrated, body
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not migrated:  # checked until all are applied; nobody reverts a migration under a running server
            executor = MigrationExecutor(connection)
            migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
            if wall.problem():
                body = f"ready\n{wall.MISSING}\n"
        return "" if migrated else "migrations are not applied"

    async def endpoint(request: Request) -> Response:
        if is_draining():
            return PlainTextResponse("draining\n", 503)
        try:
            reason = await gate.in_thread(problem, owner=_PROBE)
        except Busy:
            reason = "busy"
        except DatabaseError as error:
            logger.warning("not ready", extra=describe_error(error))
            reason = "database out of reach"
        return PlainTextResponse(f"{reason}\n", 503) if reason else PlainTextResponse(body)

    return endpoint


async def metrics(request: Request) -> Response:
    """The metrics, in Prometheus' text format. If METRICS_TOKEN is set, only its bearer gets them."""
    authorization = request.headers.get("authorization", "").encode()
    if settings.METRICS_TOKEN and not compare_digest(authorization, f"Bearer {settings.METRICS_TOKEN}".encode()):
        record_refusal(Unauthenticated(TokenRule.METRICS_TOKEN if authorization else TokenRule.NO_CREDENTIALS))
        return PlainTextResponse("unauthorized\n", 401, headers={"WWW-Authenticate": "Bearer"})
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)
