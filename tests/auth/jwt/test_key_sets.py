"""An issuer's key set over real HTTPS: an answer is decompressed at most once, and never without a limit."""

import gzip
import json
import tracemalloc
from collections.abc import Callable

import pytest
import urllib3

from tests.support.auth.client_documents import INFLATED, MIB, DocumentServer, Reply, answer, deflated, twice
from tests.support.auth.issuers import jwk
from todo_mcp.auth.jwt.key_set import DOCUMENT_MAX, JsonWebKeySet

KEYS = json.dumps({"keys": [jwk(kid="1")]}).encode()
BOMB = b" " * INFLATED + KEYS
PEAK_MAX = 8 * MIB


@pytest.mark.parametrize(
    "reply",
    [answer(KEYS), answer(gzip.compress(KEYS), "Content-Encoding: gzip")],
    ids=["plain", "gzip"],
)
def test_a_key_set_is_read(documents: DocumentServer, reply: Reply) -> None:
    (key,) = JsonWebKeySet(documents.serve(reply))._fetch()
    assert key["kid"] == "1"
    assert "accept-encoding: identity" in documents.asked[0].lower()


BAD: dict[str, Callable[[], bytes]] = {
    "gzip bomb": lambda: answer(gzip.compress(BOMB), "Content-Encoding: gzip"),
    "gzip, gzip bomb": lambda: answer(twice(BOMB), "Content-Encoding: gzip, gzip"),
    "gzip, gzip": lambda: answer(twice(KEYS), "Content-Encoding: gzip, gzip"),
    "deflate bomb": lambda: answer(deflated(BOMB), "Content-Encoding: deflate"),
    "br": lambda: answer(KEYS, "Content-Encoding: br"),
    "gzip cut off": lambda: answer(gzip.compress(KEYS)[:-1], "Content-Encoding: gzip"),
    "too large": lambda: answer(b" " * DOCUMENT_MAX + KEYS),
    "too large when unpacked": lambda: answer(gzip.compress(b" " * DOCUMENT_MAX + KEYS), "Content-Encoding: gzip"),
    "deep": lambda: answer(b'{"keys":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    "keys twice": lambda: answer(b'{"keys": [], ' + KEYS[1:]),
}


@pytest.mark.parametrize("how", BAD)
def test_a_large_or_malformed_key_set_gives_no_keys(documents: DocumentServer, how: str) -> None:
    keys = JsonWebKeySet(documents.serve(BAD[how]()))
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, urllib3.exceptions.HTTPError)):
            keys._fetch()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(documents.asked) == 1
    assert peak < PEAK_MAX, f"{peak / MIB:.1f} MiB"
