from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from todo_mcp.auth.models import RevokedToken
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import revoke_all, revoke_token


class Command(BaseCommand):
    help = "Revoke tokens by id, or all tokens of a user or a service. They are refused from the next call on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        selection = parser.add_mutually_exclusive_group(required=True)
        selection.add_argument("ids", nargs="*", type=int, default=[], metavar="ID", help="ids from list_tokens")
        selection.add_argument("--user", metavar="ID", help="every token of this user")
        selection.add_argument("--service", metavar="NAME", help="every token of this service")
        parser.add_argument("--reason", default="", help="why; it stays in the records of the revoked tokens")

    def handle(self, *args: Any, **options: Any) -> None:
        ids: list[int] = options["ids"]
        cause = Cause(By.COMMAND, options["reason"][: RevokedToken.REASON_MAX])
        if options["user"] or options["service"]:
            count = revoke_all(user_id=options["user"], service=options["service"], cause=cause)
            self.stdout.write(f"Revoked {count}.")
            return
        unknown = [token_id for token_id in ids if not revoke_token(token_id=token_id, cause=cause)]
        self.stdout.write(f"Revoked {len(ids) - len(unknown)}.")
        if unknown:
            raise CommandError(f"No token {', '.join(map(str, unknown))}. Run list_tokens to see the valid ids.")
