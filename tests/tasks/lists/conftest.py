"""A clock that stands, and a user with tasks."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.utils import timezone

NOW = datetime(2026, 11, 21, 16, 5, tzinfo=UTC)  # a Saturday


@pytest.fixture
def set_now(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the clock of the calls."""
    return lambda moment: monkeypatch.setattr(timezone, "now", lambda: moment)


@pytest.fixture
def now(set_now: Callable[[datetime], None]) -> datetime:
    set_now(NOW)
    return NOW
