import pytest

from todo_mcp.auth.token_use import token_uses
from todo_mcp.statistics.recorder import recorder


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    """Away with what other tests of this process have left."""
    recorder.take()
    recorder._clients.clear()
    token_uses.take()
    token_uses._noted.clear()
