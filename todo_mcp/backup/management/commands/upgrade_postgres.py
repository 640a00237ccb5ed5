from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from todo_mcp.backup.upgrading import upgrade
from todo_mcp.postgres.embedded.programs import MAJOR
from todo_mcp.process import startup
from todo_mcp.process.commands import database_errors


class Command(BaseCommand):
    help = (
        "Move the data directory of the embedded PostgreSQL from another major version to the one of this release. The "
        "old directory is kept under another name. Run it while no server runs."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        database = settings.DATABASES["default"]
        if "EMBEDDED_DATA_DIR" not in database:
            raise CommandError(
                "DATABASE_URL is set, so PostgreSQL is not embedded. Upgrade your PostgreSQL with its own tools "
                "(pg_upgrade), or restore a backup into a new one."
            )
        startup.end_on_signals()
        with database_errors():
            done = upgrade(database["EMBEDDED_DATA_DIR"])
        if done is None:
            self.stdout.write(
                f"There is nothing to do: the data directory has no data of another PostgreSQL than {MAJOR}."
            )
            return
        call_command("migrate", verbosity=0, interactive=False)  # it also creates the role, which is not in a dump
        self.stdout.write(
            f"Copied {done.rows:,} rows from PostgreSQL {done.before} to {MAJOR}. The old directory is {done.kept}. "
            "Settings in its configuration files were not copied. Remove it when you no longer need it."
        )
