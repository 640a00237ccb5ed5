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
            blocks.append(f"```json\n{wrapped(envelope)}\n```")
        else:
            assert isinstance(line, (Answer, At))
    return "\n\n".join(blocks)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def wrapped(value: Any, indent: str = "", before: str = "") -> str:
    """The value as JSON: on one line if it fits, otherwise with a line for each part."""
    text = compact(value)
    if len(indent) + len(before) + len(text) < WIDTH or not value or not isinstance(value, (dict, list)):
        return text
    inner = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + wrapped(part, inner) for part in value) + f"\n{indent}]"
    lines = [f"{inner}{compact(name)}: {wrapped(part, inner, f'{name}    ')}" for name, part in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}" + "}"
