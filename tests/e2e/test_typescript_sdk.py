"""The official TypeScript SDKs, on Node."""

import json
from pathlib import Path

import pytest

from tests.e2e.programs import run
from tests.e2e.walk import check_walk
from tests.support.mcp_messages import HANDSHAKE, MODERN, REVISIONS


def test_version_1_uses_every_tool(node: Path, url: str, token: str) -> None:
    check_walk(json.loads(run(node, "sdk_v1.mjs", url, token)), HANDSHAKE[-1:])


@pytest.mark.parametrize("revision", REVISIONS)
def test_version_2_uses_every_tool(node: Path, url: str, token: str, revision: str) -> None:
    check_walk(json.loads(run(node, "sdk_v2.mjs", url, token, revision)), [revision])


def test_version_2_negotiates_the_newest_revision(node: Path, url: str, token: str) -> None:
    check_walk(json.loads(run(node, "sdk_v2.mjs", url, token, "auto")), [MODERN])
