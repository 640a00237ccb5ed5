"""Fixtures of the scenarios."""

import httpx2
import pytest

from tests.scenarios.running import TestClock
from tests.support.caller import Caller


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> TestClock:
    return TestClock(monkeypatch)


@pytest.fixture
def plain_caller(http: httpx2.AsyncClient) -> Caller:
    """A caller without a token: each scenario creates its own people and tokens."""
    return Caller(http, "")
