"""Users who call the tools, and a clock that tests set."""

from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace

import pytest

from tests.support.factories import UserFactory
from tests.support.tool_user import ToolUser

NOW = "2026-11-21T17:05+01:00"  # a Saturday
At = Callable[[str], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    """Sets the moment at which the calls that follow read their days and times."""

    def set_clock(moment: str) -> None:
        now = datetime.fromisoformat(moment)
        monkeypatch.setattr("tasks.clock.timezone", SimpleNamespace(now=lambda: now))

    return set_clock


@pytest.fixture
def me(committed: None, at: At) -> ToolUser:
    """Alice, who lives in Berlin. It is Saturday 21 November 2026, 17:05."""
    at(NOW)
    return ToolUser(UserFactory.create(id="alice", time_zone="Europe/Berlin").pk)


@pytest.fixture
def other(committed: None) -> ToolUser:
    """Bob, of whose tasks Alice must learn nothing, and the other way round."""
    return ToolUser(UserFactory.create(id="bob", time_zone="Europe/Berlin").pk)


@pytest.fixture
def nowhere(committed: None, at: At) -> ToolUser:
    """Charlie, whose time zone is not known."""
    at(NOW)
    return ToolUser(UserFactory.create(id="charlie").pk)
