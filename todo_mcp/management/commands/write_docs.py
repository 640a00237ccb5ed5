import re
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from todo_mcp.core.operations import REGISTRY, Operation

MARKED = re.compile(r"(<!-- tools -->\n).*?(<!-- /tools -->)", re.DOTALL)


class Command(BaseCommand):
    help = "Write README's table of tools anew from their declarations. A test fails where it lags behind."

    def handle(self, *args: Any, **options: Any) -> None:
        readme = settings.BASE_DIR / "README.md"
        readme.write_text(with_tools(readme.read_text()))


def with_tools(text: str) -> str:
    """The text with the table between its markers made from the registry."""
    return MARKED.sub(lambda found: found[1] + tool_table() + found[2], text)


def tool_table() -> str:
    rows = ["| tool | arguments (`?` = optional) | `data` on success | scope | hints |", "|---|---|---|---|---|"]
    return "\n".join(rows + [_row(operation) for operation in REGISTRY.values()]) + "\n"


def _row(operation: Operation) -> str:
    schema = operation.input_schema
    arguments = [
        f"`{name}{'' if name in schema.get('required', []) else '?'}`{_bounds(said)}"
        for name, said in schema["properties"].items()
    ]
    data = [f"`{name}`" for name, field in operation.output.model_fields.items() if not field.exclude]
    hints = {"read-only": operation.read_only, "destructive": operation.destructive, "idempotent": operation.idempotent}
    said = ", ".join(hint for hint, holds in hints.items() if holds) or "additive"
    return f"| `{operation.name}` | {', '.join(arguments)} | {', '.join(data)} | `{operation.scope}` | {said} |"


def _bounds(said: dict[str, Any]) -> str:
    default = f" ({said['default']})" if said.get("default") else ""
    if "enum" in said:
        return f" {' / '.join(said['enum'])}{default}"
    low = said.get("minLength", said.get("minimum"))
    high = said.get("maxLength", said.get("maximum"))
    if high is None:
        return ""
    return f" {low}-{high}{default}" if low is not None else f" ≤ {high}"
