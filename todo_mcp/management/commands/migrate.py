"""``manage.py migrate``: Django's command. Several at once run one after the other, and all succeed."""

from typing import Any

from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS

from todo_mcp.postgres.upkeep.turns import MIGRATIONS, turn


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if options["database"] != DEFAULT_DB_ALIAS or options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
            return
        with turn(MIGRATIONS):
            super().handle(*args, **options)
