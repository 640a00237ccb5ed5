"""``manage.py serve``: start the server."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from todo_mcp.process import startup
from todo_mcp.telemetry import tracing


class Command(BaseCommand):
    help = "Serve MCP, REST and the admin on one port. Refuses to start if a migration is not applied."
    requires_system_checks = ()  # the checks load the code of every page: half a second, and 15 MiB kept in memory

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host", help="The address to listen on. Default: localhost; all addresses (IPv4 and IPv6) in production."
        )
        parser.add_argument("--port", type=int, help="Default: MCP_SERVER_PORT, or 5000.")
        parser.add_argument("--workers", type=int, default=1, help="The number of worker processes. Default: 1.")

    def handle(self, *args: Any, host: str | None, port: int | None, workers: int, **options: Any) -> None:
        if workers < 1:
            raise CommandError(f"--workers is {workers}; set it to 1 or more.")
        if port not in (None, settings.MCP_SERVER_PORT):
            startup.restart_on(port)
        if host is None:
            host = "" if settings.PRODUCTION else "localhost"
        startup.end_on_signals()
        tracing.check()
        sockets = startup.listen(host)
        startup.require_migrations()
        startup.share_connections(workers)
        startup.check_wall()
        startup.warn_about_durability()
        where = f"{host or 'all addresses,'} port {settings.MCP_SERVER_PORT}"
        self.stdout.write(f"Serving {settings.PUBLIC_URL} on {where}. Ctrl-C stops it.")
        self.stdout.flush()
        startup.serve(sockets, workers=workers)
