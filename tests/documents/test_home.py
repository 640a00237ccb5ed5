"""The table of docs/home.md: what a stranger in the network gets without a token. It names every open path."""

import re

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.routes import every_path
from tests.support.server_process import ROOT

pytestmark = pytest.mark.anyio
TABLE = (ROOT / "docs/home.md").read_text().split("<!-- open -->")[1].split("<!-- /open -->")[0]
EXPECTED = {
    path: int(status)
    for paths, status in re.findall(r"^\| (.*?) \| (\d{3}) \|", TABLE, re.MULTILINE)
    for path in re.findall("`([^`]+)`", paths)
}
# Open too, but of the same kind as one that the page names.
ALIKE = {
    "//",  # the client of this test makes it "/"
    "/.well-known/oauth-protected-resource",
    "/oauth/password/reset/sent",
    "/oauth/password/reset/MQ/x",  # the page of a link that is not valid
}


async def test_each_path_answers_a_stranger_as_the_page_says(http: httpx2.AsyncClient) -> None:
    for path, status in EXPECTED.items():
        assert (await http.get(path)).status_code == status, path


async def test_the_page_names_every_path_that_is_open(http: httpx2.AsyncClient, orm: Orm) -> None:
    opened = {path for path in every_path() if (await http.get(path)).status_code == 200}
    named = {path for path, status in EXPECTED.items() if status == 200}
    assert opened - ALIKE == named
