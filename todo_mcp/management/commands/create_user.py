import sys
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand

from todo_mcp.configuration.distribution import command
from todo_mcp.process.commands import escaped, service_errors
from todo_mcp.users.services import create_user


class Command(BaseCommand):
    help = (
        "Create a user. Tokens, the API and the identity provider use the id, which cannot be changed. "
        "With --staff or --superuser, the command asks for a password (at a terminal) for signing in to the admin."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help='any text up to 255 characters, except "me"; compared byte for byte')
        parser.add_argument("--email", default="")
        parser.add_argument("--name", default="", help="the display name")
        parser.add_argument(
            "--time-zone",
            default="",
            metavar="ZONE",
            help="the IANA name of the zone in which the person's days and times are read, such as Europe/Berlin",
        )
        parser.add_argument("--staff", action="store_true", help="may sign in to the admin")
        parser.add_argument("--superuser", action="store_true", help="may sign in to the admin and do everything there")

    def handle(self, *args: Any, **options: Any) -> None:
        signs_in = options["staff"] or options["superuser"]
        has_password = signs_in and sys.stdin.isatty()
        with service_errors():
            user = create_user(
                user_id=options["id"],
                password=getpass(f"Password for {escaped(options['id'])}: ") if has_password else None,
                email=options["email"],
                name=options["name"],
                time_zone=options["time_zone"],
                is_staff=signs_in,
                is_superuser=options["superuser"],
            )
        if signs_in and not has_password:
            self.stdout.write(f"The user has no password yet. Set one: {command('changepassword')} {user.pk}")
        self.stdout.write(f"Created user {user.pk}. Issue a token: {command('issue_token')} --user {user.pk}")
