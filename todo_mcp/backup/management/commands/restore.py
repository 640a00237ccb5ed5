from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from todo_mcp.backup.restoring import restore
from todo_mcp.configuration.distribution import command
from todo_mcp.process import startup
from todo_mcp.process.commands import database_errors


class Command(BaseCommand):
    help = (
        f"Restore a file of `{command('backup')}` into an empty database, then migrate it to this version. It restores "
        "all or nothing, and refuses while a server runs."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help=f"A file that `{command('backup')}` made.")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        startup.end_on_signals()
        with database_errors():
            manifest = restore(file.absolute())
        rows = sum(count for count, _ in manifest["tables"].values())
        self.stdout.write(f"Restored {rows:,} rows of {manifest['made']} from {file}. Every table has its checksum.")
