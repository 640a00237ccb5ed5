"""A fixture that counts the statements of some work."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

Statements = Callable[[Callable[[], Any]], list[str]]


@pytest.fixture
def statements(committed: None) -> Iterator[Statements]:
    """Runs some work and returns the verbs of its statements. Several statements in one string are one round trip."""
    connection.ensure_connection()

    def run(work: Callable[[], Any]) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            work()
        return [re.sub(r"^SELECT set_config.*?; ", "", query["sql"]).split()[0] for query in queries.captured_queries]

    yield run
