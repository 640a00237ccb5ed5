"""Client documents over real HTTPS: an honest one connects its client, and no other costs more than a few bytes."""

import contextlib
import gzip
import json
import logging
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from oauth2_provider import cimd
from oauth2_provider.cimd import CIMDError
from oauth2_provider.models import Application

from tests.support.application import Orm
from tests.support.auth.client_documents import (
    INFLATED,
    MIB,
    DocumentServer,
    Reply,
    answer,
    certificates,
    deflated,
    document_server,
    then_endlessly,
    then_slowly,
    twice,
)
from tests.support.auth.oauth_client import Browser, OAuthClient, connected
from tests.support.caller import Caller
from todo_mcp.auth.oauth import clients

PEAK_MAX = 8 * MIB  # memory of one fetch; the head alone may have 100 lines of 64 KiB
PROMPTLY = 2.0  # seconds


def chunked(body: bytes, size: int = 7) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def count_fetching_threads() -> int:
    """The number of threads that fetch a document, including those that no caller waits for any more."""
    return sum(thread.name == clients.THREAD for thread in threading.enumerate())


def fetching_threads_end() -> bool:
    """Whether every thread that fetches a document ends promptly."""
    ends = time.monotonic() + PROMPTLY
    while count_fetching_threads() and time.monotonic() < ends:
        time.sleep(0.01)
    return not count_fetching_threads()


def fetch(server: DocumentServer, reply: Reply) -> dict[str, Any]:
    document, _ = clients.MetadataFetcher().fetch(server.serve(reply))
    return document


GOOD: dict[str, Callable[[bytes], Reply]] = {
    "plain": lambda body: answer(body),
    "identity": lambda body: answer(body, "Content-Encoding: identity"),
    "gzip": lambda body: answer(gzip.compress(body), "Content-Encoding: gzip"),
    "x-gzip": lambda body: answer(gzip.compress(body), "Content-Encoding: X-GZip"),
    "chunked": lambda body: answer(chunked(body), "Transfer-Encoding: chunked"),
    "chunked gzip": lambda body: answer(
        chunked(gzip.compress(body)), "Transfer-Encoding: chunked", "Content-Encoding: gzip"
    ),
    "until the end": lambda body: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body,
    "another JSON type": lambda body: answer(body, content_type="application/client+json; charset=utf-8"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("how", GOOD)
async def test_an_honest_document_connects_its_client(
    browser: Browser, http: httpx2.AsyncClient, documents: DocumentServer, how: str
) -> None:
    client = OAuthClient(http, documents.serve(GOOD[how](documents.text())))
    page = await browser.get("/oauth/authorize", params=client.question())
    assert page.status_code == 200, page.text
    assert "<bdi>Document client</bdi>" in page.text and "localhost" in page.text
    tokens = await connected(browser, client)
    assert (await Caller(http, tokens["access_token"]).post("list_tasks")).status_code == 200
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200
    assert len(documents.asked) == 1
    assert "accept-encoding: identity" in documents.asked[0].lower()


ZEROS = b"\0" * INFLATED
BAD: dict[str, Callable[[DocumentServer], Reply]] = {
    "gzip bomb": lambda server: answer(gzip.compress(ZEROS), "Content-Encoding: gzip"),
    "gzip, gzip": lambda server: answer(twice(server.text()), "Content-Encoding: gzip, gzip"),
    "gzip, gzip bomb": lambda server: answer(twice(ZEROS), "Content-Encoding: gzip, gzip"),
    "gzip, gzip bomb in gzip, gzip": lambda server: answer(twice(twice(ZEROS)), "Content-Encoding: gzip, gzip"),
    "two gzip headers": lambda server: answer(twice(ZEROS), "Content-Encoding: gzip", "Content-Encoding: gzip"),
    "gzip bomb of spaces around a document": lambda server: answer(
        gzip.compress(b" " * INFLATED + server.text()), "Content-Encoding: gzip"
    ),
    "gzip cut off": lambda server: answer(gzip.compress(server.text())[:-9], "Content-Encoding: gzip"),
    "gzip with more after it": lambda server: answer(gzip.compress(server.text()) * 2, "Content-Encoding: gzip"),
    "no gzip": lambda server: answer(server.text(), "Content-Encoding: gzip"),
    "deflate": lambda server: answer(deflated(server.text()), "Content-Encoding: deflate"),
    "deflate bomb": lambda server: answer(deflated(ZEROS), "Content-Encoding: deflate"),
    "br": lambda server: answer(server.text(), "Content-Encoding: br"),
    "zstd": lambda server: answer(server.text(), "Content-Encoding: zstd"),
    "unknown coding": lambda server: answer(server.text(), "Content-Encoding: x"),
    "gzip as transfer coding": lambda server: answer(
        gzip.compress(ZEROS), "Transfer-Encoding: gzip, chunked", "Content-Encoding: gzip"
    ),
    "oversized": lambda server: answer(server.text(logo_uri="x" * 100_000)),
    "oversized without a length": lambda server: (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + server.text(logo_uri="x" * 100_000)
    ),
    "endless": lambda server: then_endlessly(answer(b"{", "Content-Length: 1000000000000"), b" " * 65536),
    "endless chunks": lambda server: then_endlessly(answer(b"", "Transfer-Encoding: chunked"), b"1\r\n \r\n" * 1000),
    "endless head": lambda server: then_endlessly(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 60_000 + b"\r\n"),
    "one endless header": lambda server: then_endlessly(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "truncated": lambda server: answer(server.text()[:40]),
    "cut off": lambda server: answer(server.text(), "Content-Length: 5000"),
    "nothing": lambda server: b"",
    "no HTTP": lambda server: b"SSH-2.0-OpenSSH_9.2\r\n",
    "empty": lambda server: answer(b""),
    "moved": lambda server: answer(b"", f"Location: {server.address('/elsewhere')}", status="302 Found"),
    "moved for good": lambda server: answer(
        server.text(), f"Location: {server.address('/elsewhere')}", status="308 Permanent Redirect"
    ),
    "not found": lambda server: answer(server.text(), status="404 Not Found"),
    "created": lambda server: answer(server.text(), status="201 Created"),
    "a page": lambda server: answer(server.text(), content_type="text/html"),
    "no type": lambda server: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(server.text()) + server.text(),
    "deep arrays": lambda server: answer(b"[" * 5000),
    "deep objects": lambda server: answer(b'{"x":' * 900 + b"1" + b"}" * 900),
    "deep beside the rest": lambda server: answer(server.text()[:-1] + b', "x": ' + b"[" * 1500 + b"]" * 1500 + b"}"),
    "a key twice": lambda server: answer(b'{"client_name": "x",' + server.text()[1:]),
    "NaN": lambda server: answer(b'{"x": NaN,' + server.text()[1:]),
    "a number of 4,400 digits": lambda server: answer(b'{"x": ' + b"9" * 4400 + b"," + server.text()[1:]),
    "an age of 4,400 digits": lambda server: answer(server.text(), "Cache-Control: max-age=" + "9" * 4400),
    "UTF-16": lambda server: answer(server.text().decode().encode("utf-16")),
    "no UTF-8": lambda server: answer(server.text().replace(b"Document", b"\xff\xfe")),
    "an array": lambda server: answer(b"[]"),
    "a string": lambda server: answer(b'"x"'),
    "another's id": lambda server: answer(server.text(client_id="https://claude.ai/oauth/client")),
    "an id of another type": lambda server: answer(server.text(client_id=[server.address()])),
    "a long name": lambda server: answer(server.text(client_name="x" * 300)),
    "redirects of another type": lambda server: answer(server.text(redirect_uris={"x": 1})),
    "grants of another type": lambda server: answer(server.text(grant_types=7)),
    "a method of another type": lambda server: answer(server.text(token_endpoint_auth_method={"none": 1})),
}


@pytest.mark.anyio
@pytest.mark.parametrize("how", BAD)
async def test_no_other_document_creates_a_client_or_costs_much(
    browser: Browser,
    http: httpx2.AsyncClient,
    documents: DocumentServer,
    orm: Orm,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    client = OAuthClient(http, documents.serve(BAD[how](documents)))
    documents.serve(answer(documents.text()), "/elsewhere")
    tracemalloc.start()
    try:
        started = time.monotonic()
        page = await browser.get("/oauth/authorize", params=client.question())
        elapsed = time.monotonic() - started
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert page.status_code == 400 and "cannot be connected" in page.text
    assert peak < PEAK_MAX, f"{peak / MIB:.1f} MiB"
    assert elapsed < PROMPTLY
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(documents.asked) == 1
    refusal = await client.exchange("x")  # the failure is remembered for a while
    assert refusal.status_code == 401 and refusal.json()["error"] == "invalid_client"
    assert len(documents.asked) == 1
    assert await orm(Application.objects.count) == 0


@pytest.mark.anyio
async def test_the_token_endpoint_does_not_decompress_a_bomb_either(
    http: httpx2.AsyncClient, documents: DocumentServer, committed: None
) -> None:
    client = OAuthClient(http, documents.serve(BAD["gzip, gzip bomb"](documents)))
    tracemalloc.start()
    try:
        refusal = await client.exchange("x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.status_code == 401 and len(documents.asked) == 1
    assert peak < PEAK_MAX, f"{peak / MIB:.1f} MiB"


SLOW: dict[str, Callable[[DocumentServer], Reply]] = {
    "silence": lambda server: then_slowly(b"", b""),
    "a head byte by byte": lambda server: then_slowly(b"HTTP/1.1 200 OK\r\nX-Slow: "),
    "header by header": lambda server: then_slowly(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "one informational answer after the other": lambda server: then_slowly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body byte by byte": lambda server: then_slowly(answer(b"{", "Content-Length: 4000")),
    "a body in chunks": lambda server: then_slowly(answer(b"", "Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    "a chunk's length byte by byte": lambda server: then_slowly(answer(b"", "Transfer-Encoding: chunked"), b"0"),
    "trailers": lambda server: then_slowly(answer(b"0\r\n", "Transfer-Encoding: chunked"), b"X: y\r\n"),
}


@pytest.mark.parametrize("how", SLOW)
def test_fetching_a_slow_document_is_abandoned_and_its_thread_and_connection_end(
    documents: DocumentServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(clients, "FETCH_SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(CIMDError):
        fetch(documents, SLOW[how](documents))
    assert time.monotonic() - started < PROMPTLY
    assert fetching_threads_end()


def test_slow_documents_block_other_documents_only_until_they_time_out(
    documents: DocumentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "FETCH_SECONDS", 0.5)
    address = documents.serve(SLOW["a head byte by byte"](documents), "/slow")
    messages: list[str] = []

    def wait() -> None:
        try:
            clients.MetadataFetcher().fetch(address)
        except CIMDError as error:
            messages.append(str(error))

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PROMPTLY)
    assert sum("too many" in message for message in messages) == 20 - clients.FETCHES_MAX
    assert len(messages) == 20 and fetching_threads_end()
    monkeypatch.setattr(clients, "FETCH_SECONDS", 3.0)
    assert fetch(documents, answer(documents.text()))["client_id"] == documents.address()


def test_a_stalled_handshake_is_abandoned(documents: DocumentServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "FETCH_SECONDS", 0.3)

    def drip(server: DocumentServer, context: Any, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.sendall(b"\x16\x03\x03\x20\x00")  # the head of a handshake record of 8 KiB
            while not server.closing.wait(0.05):
                connection.sendall(b"\0")

    monkeypatch.setattr("tests.support.auth.client_documents._serve", drip)
    with pytest.raises(CIMDError):
        clients.MetadataFetcher().fetch(documents.address())
    assert fetching_threads_end()


@pytest.mark.parametrize(
    ("hosts", "expired"), [(("other.example",), False), (("localhost",), True)], ids=["another host", "expired"]
)
def test_a_document_behind_a_wrong_certificate_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...], expired: bool
) -> None:
    trusted, certificate = certificates(tmp_path, hosts=hosts, expired=expired)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setattr(cimd, "_ip_is_public", lambda ip: True)
    with document_server(certificate) as server, pytest.raises(CIMDError, match="certificate"):
        fetch(server, answer(server.text()))
    assert server.asked == []


def test_a_document_behind_a_certificate_of_an_unknown_authority_is_not_read(
    documents: DocumentServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates(other)[0]))
    with pytest.raises(CIMDError, match="certificate"):
        fetch(documents, answer(documents.text()))
    assert documents.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "https://[/x",
        "https://[::1/x",
        "https://]/x",
        f"https://{'a' * 64}.example/x",
        f"https://{'a.' * 200}example/x",
        "https://a..b/x",
        "https://\u2100.example/x",
        "https://\ufffd/x",
        "https://localhost:port/x",
        "https://localhost:-1/x",
        "https://localhost:99999/x",
        "https://localhost/" + "x" * 300,
        "https://localhost:1/\u00e9 \u2028",
        "https://%00/x",
        "https://\u0661.1/x",
    ],
    ids=ascii,
)
@pytest.mark.anyio
async def test_an_invalid_address_is_an_unknown_client(
    http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    refusal = await OAuthClient(http, address).exchange("x")
    assert refusal.status_code == 401 and refusal.json()["error"] == "invalid_client"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_null_value_counts_as_missing(documents: DocumentServer) -> None:
    nulls: dict[str, Any] = {
        "client_name": None,
        "grant_types": None,
        "scope": None,
        "token_endpoint_auth_method": None,
    }
    document = fetch(documents, answer(documents.text(**nulls)))
    assert document == {
        "client_id": documents.address(),
        "redirect_uris": ["http://127.0.0.1:33418/callback"],
        "grant_types": ["authorization_code", "refresh_token"],  # as if it were left out
    }
    assert json.loads(documents.text(**nulls))["scope"] is None
