import logging
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from todo_mcp.auth.principal import local_principal
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform
from todo_mcp.core.arguments import is_empty
from todo_mcp.core.envelope import Envelope, failure, to_json
from todo_mcp.core.errors import UnknownTool
from todo_mcp.core.operations import REGISTRY
from todo_mcp.core.request_ids import new_request_id
from todo_mcp.core.strict_json import BadJson, parse
from todo_mcp.process.commands import database_errors, escaped
from todo_mcp.users.models import User


class Command(BaseCommand):
    help = (
        "Run a tool for a user, with the same checks as a call over the network but without quotas, and print the "
        "envelope. The exit status is 1 if the envelope is an error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tool", help=", ".join(REGISTRY), metavar="TOOL")
        parser.add_argument(
            "arguments", nargs="?", default="{}", help='a JSON object, such as \'{"title": "Buy milk"}\''
        )
        parser.add_argument("--user", required=True, metavar="ID", help="the user whose tasks are used")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            arguments = parse((options["arguments"] or "{}").encode("utf-8", "surrogateescape"))
        except BadJson as error:
            raise CommandError(f"The arguments are not usable: the text {error}.") from None
        if is_empty(arguments):
            arguments = {}
        if not isinstance(arguments, dict):
            raise CommandError("The arguments must be a JSON object.")
        if options["tool"] not in REGISTRY:
            self._end(failure(UnknownTool(REGISTRY)), has_failed=True)
        if settings.LOG_LEVEL == "INFO":
            logging.getLogger("todo_mcp").setLevel(logging.WARNING)  # the envelope already reports the result
        with database_errors():
            User.objects.exists()  # reaches the database, and finds the tables
        call = Call(
            operation=REGISTRY[options["tool"]],
            arguments=arguments,
            transport="command",
            client="manage.py",
            request_id=new_request_id(),
        )
        envelope, failed = perform(call, lambda target: local_principal(options["user"]))
        self._end(envelope, has_failed=failed is not None)

    def _end(self, envelope: Envelope, *, has_failed: bool) -> None:
        self.stdout.write(escaped(to_json(envelope).decode()))
        if has_failed:
            sys.exit(1)
