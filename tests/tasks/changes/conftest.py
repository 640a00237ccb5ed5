"""Users who call the tools."""

import pytest

from tests.support.factories import UserFactory
from tests.support.tool_user import ToolUser
from tests.tasks.conftest import NOW, At


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
