from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from todo_mcp.auth.tokens import issue_token
from todo_mcp.process.commands import duration, told_plainly


class Command(BaseCommand):
    help = (
        "Make a token and print it, alone, on standard output. It is stored as a hash only, so this is the one time "
        "that it can be seen. A user's token acts for that user; a service's token acts for any user it names."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", metavar="ID", help="a user that exists")
        whose.add_argument("--service", metavar="NAME", help="what to call the chat backend or other service")
        parser.add_argument(
            "--scopes",
            nargs="+",
            metavar="SCOPE",
            help=f"of {', '.join(settings.SCOPES)}; by default all but tasks:act_as, and for a service that too",
        )
        parser.add_argument("--expires", type=duration, metavar="30d", help="in 90m, 12h, 30d or 4w; by default never")
        parser.add_argument("--name", default="", help="what to call a user's token in lists, such as the device")

    def handle(self, *args: Any, **options: Any) -> None:
        scopes = options["scopes"]
        with told_plainly():
            token = issue_token(
                user_id=options["user"],
                service=options["service"],
                scopes=[scope for said in scopes for scope in said.replace(",", " ").split()] if scopes else None,
                expires_in=options["expires"],
                name=options["name"],
            )
        self.stdout.write(token)
