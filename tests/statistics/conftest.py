import pytest

from todo_mcp.statistics.recorder import recorder
from todo_mcp.statistics.refused_calls import refused_calls
from todo_mcp.statistics.token_days import token_days
from todo_mcp.statistics.token_use import token_uses


@pytest.fixture(autouse=True)
def empty_recorders() -> None:
    """Discard the records of other tests in this process."""
    recorder.take()
    recorder._clients.clear()
    token_uses.take()
    token_uses._recorded.clear()
    token_days.take()
    refused_calls.take()
    refused_calls._kept.clear()
