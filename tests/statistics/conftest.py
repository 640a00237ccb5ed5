import pytest

from todo_mcp.statistics.recorder import recorder
from todo_mcp.statistics.token_use import token_uses


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    """Away with what other tests of this process have left."""
    recorder.take()
    recorder._clients.clear()
    token_uses.take()
    token_uses._recorded.clear()
