from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from todo_mcp.operators.user_data import delete_user
from todo_mcp.process.commands import escaped, told_plainly


class Command(BaseCommand):
    help = (
        "Erase a user and everything of theirs, history included, in one transaction. It cannot be undone: "
        "export_user makes a copy first. To refuse a user and keep the data, deactivate them in the admin."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        user_id = options["id"]
        question = f"Erase user {escaped(user_id)} and all their data? Type the id to confirm: "
        if not options["yes"] and input(question) != user_id:
            raise CommandError("Nothing was erased.")
        with told_plainly():
            erased = delete_user(user_id=user_id)
        self.stdout.write(
            f"Erased user {escaped(user_id)}, {erased['tasks']} tasks and {erased['conversations']} conversations."
        )
