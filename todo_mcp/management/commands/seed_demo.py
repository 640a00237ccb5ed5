"""``manage.py seed_demo``: demo data."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from todo_mcp.operators.demo import existing_users, seed_demo


class Command(BaseCommand):
    help = "Add demo users with weeks of tasks and conversations. Refuses in production, or if the users exist already."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=1, help="the same number gives the same texts (default 1)")
        parser.add_argument("--force", action="store_true", help="add more to existing demo users; allow production")

    def handle(self, *args: Any, seed: int, force: bool, **options: Any) -> None:
        if settings.PRODUCTION and not force:
            raise CommandError("This is production. Add --force to add demo data anyway.")
        existing = existing_users()
        if people := [user_id for user_id, is_demo in existing.items() if not is_demo]:
            raise CommandError(f"Nothing was added: {', '.join(people)} is no demo user, and may belong to a person.")
        if existing and not force:
            raise CommandError(f"Users {', '.join(existing)} exist already. Add --force to give them more tasks.")
        added = seed_demo(seed=seed)
        self.stdout.write("Added " + ", ".join(f"{count} {name}" for name, count in added.items()) + ".")
