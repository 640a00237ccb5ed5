"""What the server changes in the libraries of its process. Importing a module changes only Django's registries."""

from todo_mcp.auth.oauth import redirects
from todo_mcp.postgres import connections, history
from todo_mcp.process import http_protocol
from todo_mcp.telemetry import logs, metrics


def install() -> None:
    """Prepare this process to serve. Repeating it does nothing more.

    - ``logging`` does not look up the file, thread and process of a record.
    - Prometheus' client exposes the metrics of ``telemetry.metrics``.
    - pghistory keeps its context for each asyncio task.
    - Django gives each work at the gate the connection of its place, with time limits for statements.
    - django-oauth-toolkit checks the redirect URIs of a new client with ``auth.oauth.redirects``.
    - uvicorn answers with the ``Cycle`` of ``process.http_answers``.
    """
    logs.install()
    metrics.install()
    history.install()
    connections.install()
    redirects.install()
    http_protocol.install()
