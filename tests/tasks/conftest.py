"""A clock that tests set, so that they read days alike on every date."""

from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace

import pytest

NOW = "2026-11-21T17:05+01:00"  # a Saturday
At = Callable[[str], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    """Sets the moment at which the calls that follow read their days and times."""

    def set_clock(moment: str) -> None:
        now = datetime.fromisoformat(moment)
        monkeypatch.setattr("tasks.clock.timezone", SimpleNamespace(now=lambda: now))

    return set_clock
