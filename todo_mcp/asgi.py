"""The ASGI application: which part serves which path. Every request passes ``RequestChecks`` first."""

import contextlib
import os
from collections.abc import AsyncIterator

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "todo_mcp.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 (needs django.setup)
from starlette.routing import Route, Router  # noqa: E402
from starlette.types import ASGIApp, Receive, Scope, Send  # noqa: E402

from todo_mcp.auth.account.mailing import mailing  # noqa: E402
from todo_mcp.auth.rate_exchange import exchanging  # noqa: E402
from todo_mcp.postgres.gate import DatabaseGate  # noqa: E402
from todo_mcp.postgres.health.readiness import Readiness, watching  # noqa: E402
from todo_mcp.process.installation import install  # noqa: E402
from todo_mcp.quotas.keeping import keeping_usage  # noqa: E402
from todo_mcp.statistics.flushing import flushing  # noqa: E402
from todo_mcp.telemetry import tracing  # noqa: E402
from todo_mcp.transports.front_page import FrontPage  # noqa: E402
from todo_mcp.transports.http import health  # noqa: E402
from todo_mcp.transports.http.django_pages import STATIC_PATH, DjangoApp, static_file  # noqa: E402
from todo_mcp.transports.http.paths import is_mcp  # noqa: E402
from todo_mcp.transports.http.request_checks import RequestChecks  # noqa: E402
from todo_mcp.transports.http.tools import ToolEndpoint  # noqa: E402
from todo_mcp.transports.http.traced import Traced  # noqa: E402
from todo_mcp.transports.mcp.endpoint import McpEndpoint  # noqa: E402


class Application:
    """/mcp goes to the SDK, every other path to a router. Each lifespan needs a new one, because the SDK does."""

    def __init__(self, gate: DatabaseGate, readiness: Readiness) -> None:
        self.mcp = McpEndpoint(gate)
        self.router = Router(
            routes=[
                Route("/", FrontPage()),
                Route("/api/tools/{tool:path}", ToolEndpoint(gate)),
                Route("/healthz", health.healthz),
                Route("/readyz", health.readyz(readiness)),
                Route("/metrics", health.metrics),
                Route(STATIC_PATH, static_file),
            ],
            default=DjangoApp(gate),
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.mcp if is_mcp(scope["path"]) else self.router)(scope, receive, send)


class Lifespan:
    """Owns the gate to the database and the SDK's session manager from start-up to shutdown."""

    def __init__(self) -> None:
        self._running: ASGIApp | None = None
        self._protocol = Router(lifespan=lambda _: self.running())  # speaks ASGI's lifespan protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._protocol(scope, receive, send)
        else:
            assert self._running is not None, "the lifespan has not started"
            await self._running(scope, receive, send)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve requests within this context."""
        install()
        gate = DatabaseGate(settings.DATABASE_CONNECTIONS, settings.GATE_SECONDS)
        readiness = Readiness(gate)
        application = Application(gate, readiness)
        async with tracing.exporting(), application.mcp.sdk.manager.run():
            checks = RequestChecks(application, gate)
            self._running = Traced(checks) if tracing.is_configured() else checks
            try:
                async with flushing(gate), mailing(gate), exchanging(gate), keeping_usage(gate), watching(readiness):
                    yield
            finally:
                self._running = None
                checks.close()
                await gate.close()


application = Lifespan()
