"""The examples of the list of repeats, read on a Wednesday."""

import json
from pathlib import Path

import pytest

from tests.dates.clocks import WEDNESDAY
from todo_mcp.dates.repeats import read_repeat
from todo_mcp.dates.rule_parts import NotARule
from todo_mcp.dates.rules import Rule

# Each row: phrase, RRULE, and the first date of a new series. null: the phrase is refused.
EXAMPLES = json.loads((Path(__file__).parent / "repeat_examples.json").read_text())


@pytest.mark.parametrize(("phrase", "expected", "first"), EXAMPLES)
def test_an_example_means_what_the_list_says(phrase: str, expected: str | None, first: str | None) -> None:
    if expected is None:
        with pytest.raises(NotARule):
            read_repeat(phrase, WEDNESDAY)
    else:
        repeat = read_repeat(phrase, WEDNESDAY)
        assert (repeat.rule, repeat.time) == (Rule.parse(expected), None)
        assert str(repeat.rule.first(WEDNESDAY.today)) == first
