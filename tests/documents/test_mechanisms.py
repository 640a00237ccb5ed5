"""The benchmark of the special mechanisms names code that exists, and the document has its rows."""

import pytest

from tests.benchmarks.mechanisms import LAZY_PAGES, MECHANISMS, Mechanism
from tests.support.server_process import ROOT


@pytest.mark.parametrize("mechanism", [*MECHANISMS, LAZY_PAGES], ids=lambda one: one.variant)
def test_a_mechanism_names_code_that_exists_and_has_a_row_in_the_document(mechanism: Mechanism) -> None:
    assert mechanism.size() > 0 or not mechanism.code
    assert f"| {mechanism.title} |" in (ROOT / "docs" / "performance.md").read_text()
