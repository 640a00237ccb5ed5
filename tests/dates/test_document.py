"""docs/days.md is the list of phrases: each of its rows is what the code does."""

import re

import pytest

from tests.dates.clocks import WEDNESDAY, clock
from tests.support.server_process import ROOT
from todo_mcp.dates.phrases import NotUnderstood, read_due, read_due_change, read_range
from todo_mcp.dates.zones import show

FRIDAY_AT_NINE = clock("2026-11-27T09:00").now


def rows(table: str) -> list[tuple[str, str]]:
    """Each phrase of the tables whose first column has this head, and the second column."""
    found, head = [], ""
    for line in (ROOT / "docs/days.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            head = ""
        elif head == "":
            head = cells[0]
        elif head == table:
            found += [(phrase, cells[1]) for phrase in re.findall(r"`([^`]+)`", cells[0])]
    assert found
    return found


@pytest.mark.parametrize(("phrase", "meaning"), rows("phrase"))
def test_a_phrase_means_what_the_document_says(phrase: str, meaning: str) -> None:
    assert show(read_due(phrase, WEDNESDAY)) == meaning


@pytest.mark.parametrize(("phrase", "meaning"), rows("change"))
def test_a_change_means_what_the_document_says(phrase: str, meaning: str) -> None:
    assert show(read_due_change(phrase, WEDNESDAY, FRIDAY_AT_NINE).due) == meaning


@pytest.mark.parametrize(("phrase", "meaning"), rows("filter"))
def test_a_filter_means_what_the_document_says(phrase: str, meaning: str) -> None:
    assert "..".join(str(end or "") for end in read_range(phrase, WEDNESDAY)) == meaning


@pytest.mark.parametrize(("phrase", "reason"), rows("refused"))
def test_what_the_document_calls_refused_is_refused(phrase: str, reason: str) -> None:
    with pytest.raises(NotUnderstood):
        read_due(phrase, WEDNESDAY)
