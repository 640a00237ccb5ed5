"""``run``: the server with everything that it needs. `make run` calls it after it has installed the environment."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from todo_mcp.postgres.upkeep.turns import SETUP, turn
from todo_mcp.process import home_network, make_run, startup
from todo_mcp.process.commands import database_errors
from todo_mcp.telemetry import tracing


class Command(BaseCommand):
    help = "Prepare the database, a first user and a token if needed, print how to connect, and serve."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="localhost", help="The address to listen on; 0.0.0.0 for your network.")

    def handle(self, *args: Any, host: str, **options: Any) -> None:
        startup.end_on_signals()
        tracing.check()
        sockets = startup.listen(host)
        make_run.reuse_secret_key()
        with database_errors(), turn(SETUP):
            if applied := make_run.migrate():
                self.stdout.write(f"Prepared the database: {applied} migrations.")
            access = make_run.ensure_access()
        startup.share_connections(workers=1)
        startup.check_wall()
        self.stdout.write(make_run.instructions(access))
        self.stdout.write(home_network.notice(host), ending="")
        self.stdout.flush()
        startup.serve(sockets, workers=1)
