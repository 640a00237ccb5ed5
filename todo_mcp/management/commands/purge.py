from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from oauth2_provider.models import clear_expired

from tasks.retention import purge_tasks
from todo_mcp.idempotency.services import purge_idempotency_keys


class Command(BaseCommand):
    help = (
        "Remove what has had its time: tasks deleted more than 30 days ago with their history, idempotency keys "
        "older than 24 hours, expired tokens and sessions. In small batches; run it daily."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would go, remove nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run: bool = options["dry_run"]
        counts = {
            "deleted tasks": purge_tasks(dry_run=dry_run),
            "idempotency keys": purge_idempotency_keys(dry_run=dry_run),
        }
        if not dry_run:
            clear_expired()
            call_command("clearsessions")
        for what, count in counts.items():
            self.stdout.write(f"{'Would remove' if dry_run else 'Removed'} {count} {what}.")
