import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder

from todo_mcp.operators.user_data import export_user
from todo_mcp.process.commands import escaped, service_errors


class Command(BaseCommand):
    help = "Print all data of a user as JSON: tasks with history (deleted ones too), conversations and tokens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id")

    def handle(self, *args: Any, **options: Any) -> None:
        with service_errors():
            exported = export_user(user_id=options["id"])
        text = json.dumps(exported, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
        self.stdout.write(escaped(text, layout="\n"))
