import re
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from todo_mcp.core.operations import REGISTRY, Operation

MARKED = re.compile(r"(<!-- tools -->\n).*?(<!-- /tools -->)", re.DOTALL)


class Command(BaseCommand):
    help = "Regenerate README's table of tools from their declarations. A test fails if the table is out of date."

    def handle(self, *args: Any, **options: Any) -> None:
        readme = settings.BASE_DIR / "README.md"
        readme.write_text(with_tools(readme.read_text()))


def with_tools(text: str) -> str:
    """The text, with the table between the markers generated from the registry."""
    return MARKED.sub(lambda match: match[1] + tool_table() + match[2], text)


def tool_table() -> str:
    rows = [
        "| tool | arguments (`?` = optional) | `data` on success, among others | scope | hints |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(rows + [_row(operation) for operation in REGISTRY.values()]) + "\n"


def _row(operation: Operation) -> str:
    schema = operation.input_schema
    arguments = [
        f"`{name}{'' if name in schema.get('required', []) else '?'}{_bounds(field)}`"
        for name, field in schema["properties"].items()
    ]
    data = [f"`{name}`" for name in operation.output.summary]
    hints = {"read-only": operation.read_only, "destructive": operation.destructive, "idempotent": operation.idempotent}
    hint_names = ", ".join(hint for hint, is_set in hints.items() if is_set) or "additive"
    return f"| `{operation.name}` | {', '.join(arguments)} | {', '.join(data)} | `{operation.scope}` | {hint_names} |"


def _bounds(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return f": {' / '.join(schema['enum'])}"
    return f" ≤ {schema['maxLength']}" if "maxLength" in schema else ""
