"""``manage.py run_local``: what `make run` does once the environment is installed."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from todo_mcp.process import make_run, startup


class Command(BaseCommand):
    help = "Prepare the database, a first user and a token where there is none, say how to connect, and serve."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="localhost", help="Where to listen; 0.0.0.0 in a container.")

    def handle(self, *args: Any, host: str, **options: Any) -> None:
        startup.end_on_signals()
        sockets = startup.listen(host)
        make_run.keep_secret_key()
        make_run.take_turns()
        if applied := make_run.migrate():
            self.stdout.write(f"Prepared the database: {applied} migrations.")
        access = make_run.ensure_access()
        startup.share_connections(workers=1)
        self.stdout.write(make_run.instructions(access))
        self.stdout.flush()
        startup.serve(sockets, workers=1)
