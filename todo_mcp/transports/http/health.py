"""The endpoints for load balancers and Prometheus, and whether this process is draining."""

from collections.abc import Awaitable, Callable
from hmac import compare_digest

from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.postgres.health.readiness import Readiness
from todo_mcp.telemetry.metrics import exposition
from todo_mcp.telemetry.refused_tokens import record_refusal

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


def readyz(readiness: Readiness) -> Endpoint:
    """Ready: not draining, and the database can do the work of calls. Otherwise 503 with the reason.

    The body also says if the server works without row-level security.
    """

    async def endpoint(request: Request) -> Response:
        reason = "draining" if is_draining() else await readiness.problem()
        if reason:
            return PlainTextResponse(f"{reason}\n", 503)
        return PlainTextResponse(f"ready\n{readiness.remark}\n" if readiness.remark else "ready\n")

    return endpoint


async def metrics(request: Request) -> Response:
    """The metrics, in Prometheus' text format. If METRICS_TOKEN is set, only its bearer gets them."""
    authorization = request.headers.get("authorization", "").encode()
    if settings.METRICS_TOKEN and not compare_digest(authorization, f"Bearer {settings.METRICS_TOKEN}".encode()):
        record_refusal(Unauthenticated(TokenRule.METRICS_TOKEN if authorization else TokenRule.NO_CREDENTIALS))
        return PlainTextResponse("unauthorized\n", 401, headers={"WWW-Authenticate": "Bearer"})
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)
