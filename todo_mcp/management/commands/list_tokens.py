from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from todo_mcp.auth.tokens import NEVER, list_tokens
from todo_mcp.process.commands import escaped

COLUMNS = ("ID", "OWNER", "NAME", "SCOPES", "CREATED", "EXPIRES")


class Command(BaseCommand):
    help = "List the usable tokens, newest first. Columns are separated by tabs. Times are in UTC."

    def add_arguments(self, parser: ArgumentParser) -> None:
        owner = parser.add_mutually_exclusive_group()
        owner.add_argument("--user", metavar="ID", help="only this user's")
        owner.add_argument("--service", metavar="NAME", help="only this service's")

    def handle(self, *args: Any, **options: Any) -> None:
        tokens = list_tokens(user_id=options["user"], service=options["service"])
        for number, token in enumerate(tokens.iterator()):
            if number == 0:  # a database that cannot be used is one line of output
                self.stdout.write("\t".join(COLUMNS))
            name = token.application.name if token.application else ""
            owner = f"user {token.user_id}" if token.user_id else f"service {name}"
            expires = "never" if token.expires == NEVER else f"{token.expires:%Y-%m-%d %H:%M}"
            if token.expires <= timezone.now():
                expires = "renewed by its client"
            columns = (str(token.pk), owner, name, token.scope, f"{token.created:%Y-%m-%d %H:%M}", expires)
            self.stdout.write("\t".join(map(escaped, columns)))
