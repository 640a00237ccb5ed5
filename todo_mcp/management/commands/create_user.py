import sys
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand

from todo_mcp.process.commands import escaped, told_plainly
from todo_mcp.users.services import create_user


class Command(BaseCommand):
    help = (
        "Make a user. The id is what tokens, the API and the identity provider call them; it cannot be changed. "
        "With --staff or --superuser a password is asked for (at a terminal), so that they can sign in to the admin."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help='any text up to 255 characters, except "me"; compared byte for byte')
        parser.add_argument("--email", default="")
        parser.add_argument("--name", default="", help="what people call them")
        parser.add_argument("--staff", action="store_true", help="may sign in to the admin")
        parser.add_argument("--superuser", action="store_true", help="may do everything there")

    def handle(self, *args: Any, **options: Any) -> None:
        signs_in = options["staff"] or options["superuser"]
        asked = signs_in and sys.stdin.isatty()
        with told_plainly():
            user = create_user(
                user_id=options["id"],
                password=getpass(f"Password for {escaped(options['id'])}: ") if asked else None,
                email=options["email"],
                name=options["name"],
                is_staff=signs_in,
                is_superuser=options["superuser"],
            )
        if signs_in and not asked:
            self.stdout.write(f"They have no password yet: manage.py changepassword {user.pk}")
        self.stdout.write(f"Made user {user.pk}. Give them a token: manage.py issue_token --user {user.pk}")
