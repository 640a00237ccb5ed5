from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from todo_mcp.operators.user_data import delete_user
from todo_mcp.process.commands import escaped, service_errors


class Command(BaseCommand):
    help = (
        "Erase a user and all their data, history included, in one transaction. This cannot be undone. "
        "Run export_user first to keep a copy. To block a user but keep the data, deactivate them in the admin."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, **options: Any) -> None:
        user_id = options["id"]
        question = f"Erase user {escaped(user_id)} and all their data? Type the id to confirm: "
        if not options["yes"] and self._ask(question) != user_id:
            raise CommandError("Nothing was erased.")
        with service_errors():
            erased = delete_user(user_id=user_id)
        self.stdout.write(
            f"Erased user {escaped(user_id)}, {erased['tasks']} tasks and {erased['conversations']} conversations."
        )

    def _ask(self, question: str) -> str:
        try:
            return input(question)
        except EOFError:
            self.stdout.write()
            raise CommandError("Nothing was erased. Without a terminal, confirm with --yes.") from None
