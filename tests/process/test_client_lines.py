"""The lines to paste that `make run` and the admin show."""

import json

import pytest
from pytest_django.fixtures import Settings

from tests.e2e.desktop import ADDRESSES, documented
from todo_mcp.process.client_lines import client_lines


@pytest.mark.parametrize(("place", "address"), ADDRESSES.items(), ids=list(ADDRESSES))
def test_the_line_for_desktop_clients_is_the_block_of_the_page(settings: Settings, place: str, address: str) -> None:
    settings.PUBLIC_URL = address
    [line] = [line for line in client_lines("<token>") if "claude_desktop_config.json" in line.label]
    assert json.loads(line.text)["mcpServers"]["todo"] == documented()[place, "token"]
    assert "\n" not in line.text
