from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from todo_mcp.backup.making import back_up
from todo_mcp.process import startup
from todo_mcp.process.commands import database_errors


class Command(BaseCommand):
    help = (
        "Back up the database, with the secret key and the token of the data directory, to a new tar file. The server "
        "may run meanwhile: the backup is of one moment. Only its owner can read the file. docs/operating.md explains "
        "backups."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="The file to create. An existing file is never replaced.")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        startup.end_on_signals()
        with database_errors():
            made = back_up(file.absolute())
        self.stdout.write(f"Backed up {made.rows:,} rows of {made.tables} tables to {file}.")
        if made.files:
            self.stdout.write(f"It holds secrets ({', '.join(made.files)}): keep it where only you can read it.")
        if not settings.SECRET_KEY.startswith("development-"):
            self.stdout.write("SECRET_KEY of the environment is not in it: keep it elsewhere.")
