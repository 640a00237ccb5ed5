"""The examples of the list of phrases: 294 due dates and 43 ranges, at 22 places of the world."""

import json
from pathlib import Path

import pytest

from tests.dates.clocks import clock
from todo_mcp.dates.phrases import NotUnderstood, read_due, read_range
from todo_mcp.dates.zones import show

# Each row: kind, phrase, now, zone, and what is understood. null: the phrase is refused.
EXAMPLES = json.loads((Path(__file__).parent / "examples.json").read_text())


@pytest.mark.parametrize(("kind", "phrase", "now", "zone", "expected"), EXAMPLES)
def test_an_example_means_what_the_list_says(kind: str, phrase: str, now: str, zone: str, expected: str | None) -> None:
    at_that_moment = clock(now, zone)
    try:
        if kind == "due":
            understood = show(read_due(phrase, at_that_moment))
        else:
            understood = "..".join(str(end or "") for end in read_range(phrase, at_that_moment))
    except NotUnderstood as refusal:
        assert expected is None, refusal
    else:
        assert understood == expected
