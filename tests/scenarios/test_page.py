"""``docs/everyday.md`` shows scenarios as they are played.

After an intended change, run this file with ``UPDATE_SNAPSHOTS=1``. Then read the difference in the page.
"""

import os
import re
from pathlib import Path

import pytest
from django.conf import settings

from tests.scenarios.page import part_of
from tests.scenarios.running import TestClock, run
from tests.scenarios.scripts import BY_NAME
from tests.scenarios.world import BERLIN, MOMENT, moment_of
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.mcp_messages import MODERN
from todo_mcp.dates.repeats import read_repeat
from todo_mcp.dates.zones import Clock

PAGE = Path(settings.BASE_DIR) / "docs/everyday.md"
PART = re.compile(r"(### (?P<name>[^\n]+)\n\n<!-- played -->\n\n)(?P<part>.*?)(\n\n<!-- /played -->)", re.DOTALL)
NAMES = [found["name"] for found in PART.finditer(PAGE.read_text(encoding="utf-8"))]


def test_the_page_shows_ten_scenarios() -> None:
    assert len(set(NAMES)) == len(NAMES) == 10


@pytest.mark.anyio
@pytest.mark.parametrize("name", NAMES)
async def test_the_page_shows_the_words_the_calls_and_the_answers(
    name: str, plain_caller: Caller, orm: Orm, clock: TestClock
) -> None:
    part = part_of(BY_NAME[name], await run(BY_NAME[name], plain_caller, MODERN, orm, clock))
    text = PAGE.read_text(encoding="utf-8")
    if "UPDATE_SNAPSHOTS" in os.environ:
        text = PART.sub(lambda found: found[1] + part + found[4] if found["name"] == name else found[0], text)
        PAGE.write_text(text, encoding="utf-8")
    assert {found["name"]: found["part"] for found in PART.finditer(text)}[name] == part


def repeats() -> list[tuple[str, str]]:
    """Each phrase of the table of repeats, and its rule."""
    table = PAGE.read_text(encoding="utf-8").split("<!-- repeats -->")[1].split("<!-- /repeats -->")[0]
    rows = [line.strip("|").split("|") for line in table.strip().splitlines()[2:]]
    return [(words, rule.strip(" `")) for cells, rule in rows for words in re.findall(r"`([^`]+)`", cells)]


@pytest.mark.parametrize(("words", "rule"), repeats())
def test_a_repeat_is_the_rule_of_the_page(words: str, rule: str) -> None:
    assert str(read_repeat(words, Clock(moment_of(MOMENT), BERLIN)).rule) == rule
