"""The part of ``docs/everyday.md`` that shows one scenario: the words, and the real calls and answers as JSON."""

import json
from typing import Any

from tests.scenarios.dialogue import Answer, Assistant, At, Call, NewChat, Person, Scenario
from tests.scenarios.running import Run

WIDTH = 118


def part_of(scenario: Scenario, result: Run) -> str:
    """The scenario as a dialogue in Markdown."""
    answers = iter(result.answers)
    blocks = []
    for line in scenario.talk:
        if isinstance(line, Person):
            blocks.append(f"**Person:** {line.words}")
        elif isinstance(line, Assistant):
            blocks.append(f"**Assistant:** {line.words}")
        elif isinstance(line, NewChat):
            blocks.append("*A new chat, some days later.*")
        elif isinstance(line, Call):
            call, envelope = next(answers)
            blocks.append(f"```text\n{call.tool} {compact(call.arguments)}\n```")
            blocks.append(f"```json\n{wrapped(_without_cursor(envelope))}\n```")
        else:
            assert isinstance(line, (Answer, At))
    return "\n\n".join(blocks)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def wrapped(value: Any, indent: str = "", before: str = "") -> str:
    """The value as JSON: on one line if it fits, otherwise with short parts beside each other."""
    text = compact(value)
    if len(indent) + len(before) + len(text) < WIDTH or not value or not isinstance(value, (dict, list)):
        return text
    inner = indent + "  "
    names = [f"{compact(name)}: " for name in value] if isinstance(value, dict) else [""] * len(value)
    parts = value.values() if isinstance(value, dict) else value
    lines: list[str] = []
    is_open = False  # whether the last line takes more parts
    for name, part in zip(names, parts, strict=True):
        shown = name + wrapped(part, inner, name)
        is_short = "\n" not in shown and not (isinstance(value, list) and isinstance(part, dict))
        if is_open and is_short and len(lines[-1]) + len(shown) + 2 < WIDTH:
            lines[-1] += f", {shown}"
        else:
            lines.append(inner + shown)
        is_open = is_short
    start, end = "{}" if isinstance(value, dict) else "[]"
    return start + "\n" + ",\n".join(lines) + f"\n{indent}{end}"


def _without_cursor(envelope: dict[str, Any]) -> dict[str, Any]:
    """The answer with a short sign in place of an opaque cursor, which is another one each time."""
    data = envelope["data"]
    return {**envelope, "data": {**data, "next_cursor": "…"}} if data.get("next_cursor") else envelope
