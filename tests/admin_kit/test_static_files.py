"""Static files have a digest in their address, are compressed, and are kept for a year; nothing must be collected."""

import gzip
import re

import httpx2
import pytest
from django.templatetags.static import static

from todo_mcp.admin_kit.static_files import read_static

pytestmark = pytest.mark.anyio
STYLES = "todo_mcp/admin.css"


async def test_the_address_of_a_file_has_its_digest_and_is_kept_for_a_year(http: httpx2.AsyncClient) -> None:
    address = static(STYLES)
    assert re.fullmatch(r"/static/todo_mcp/admin\.[0-9a-f]{12}\.css", address)
    response = await http.get(address)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.content == read_static(STYLES).content


@pytest.mark.parametrize("address", [f"/static/{STYLES}", "/static/todo_mcp/admin.0123456789ab.css"])
async def test_a_name_without_the_current_digest_is_kept_for_an_hour(http: httpx2.AsyncClient, address: str) -> None:
    response = await http.get(address)
    assert response.headers["cache-control"] == "public, max-age=3600"
    assert response.content == read_static(STYLES).content


async def test_a_style_sheet_names_its_fonts_and_images_by_digest(http: httpx2.AsyncClient) -> None:
    style_sheet = (await http.get(static(STYLES))).text
    font = re.search(r'url\("(icons\.[0-9a-f]{12}\.woff2)"\)', style_sheet)
    assert font and (await http.get(f"/static/todo_mcp/{font[1]}")).headers["cache-control"].endswith("immutable")
    admin = read_static("admin/css/base.css").content.decode()
    assert "url(../img/icon-" not in re.sub(r"\.[0-9a-f]{12}\.svg", "", admin) or ".svg" in admin


async def test_text_is_compressed_and_fonts_are_not(http: httpx2.AsyncClient) -> None:
    plain = await http.get(static(STYLES), headers={"Accept-Encoding": "identity"})
    packed = await http.get(static(STYLES), headers={"Accept-Encoding": "gzip, br"})
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert plain.content == packed.content
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    font = await http.get(static("todo_mcp/icons.woff2"), headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in font.headers and font.content[:4] == b"wOF2"


async def test_what_is_compressed_is_the_file() -> None:
    file = read_static(STYLES)
    assert file.compressed and gzip.decompress(file.compressed) == file.content


@pytest.mark.parametrize("path", ["nothing", "nothing.css", "", "../settings.py", "todo_mcp", "todo_mcp/..%2f"])
async def test_a_file_that_does_not_exist_is_404(http: httpx2.AsyncClient, path: str) -> None:
    response = await http.get(f"/static/{path}")
    assert response.status_code == 404
    assert static("nothing.css") == "/static/nothing.css"
