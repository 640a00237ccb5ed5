from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from todo_mcp.auth.tokens import issue_token
from todo_mcp.process.commands import duration, service_errors


class Command(BaseCommand):
    help = (
        "Issue a token and print only the token on standard output. The database stores only a hash, so the token "
        "cannot be shown again. A user's token acts for that user; a service's token acts for any user it names."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        owner = parser.add_mutually_exclusive_group(required=True)
        owner.add_argument("--user", metavar="ID", help="an existing user")
        owner.add_argument("--service", metavar="NAME", help="a name for the chat backend or other service")
        parser.add_argument(
            "--scopes",
            nargs="+",
            metavar="SCOPE",
            help=f"from {', '.join(settings.SCOPES)}; default: all for a service, all but tasks:act_as for a user",
        )
        parser.add_argument(
            "--expires", type=duration, metavar="30d", help="lifetime, such as 90m, 12h, 30d or 4w; default: none"
        )
        parser.add_argument("--name", default="", help="a name for a user's token in lists, such as the device")

    def handle(self, *args: Any, **options: Any) -> None:
        scopes = options["scopes"]
        with service_errors():
            token = issue_token(
                user_id=options["user"],
                service=options["service"],
                scopes=[scope for names in scopes for scope in names.replace(",", " ").split()] if scopes else None,
                expires_in=options["expires"],
                name=options["name"],
            )
        self.stdout.write(token)
