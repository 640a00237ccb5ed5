"""Reads responses of other servers, with limits on time and size."""

import ssl
import time
import zlib
from typing import Any

from urllib3 import BaseHTTPResponse

CHUNK_SIZE = 8192  # bytes


def read_within(response: BaseHTTPResponse, *, seconds: float, maximum: int) -> bytes:
    """Return the decompressed body. If it is larger than ``maximum`` bytes, return at least one byte more than that.

    urllib3 must not decompress it: it applies every coding that the sender lists, so 300 bytes with ``gzip, gzip``
    become gigabytes. One gzip layer is decompressed here: some CDNs store gzip and send it without a request for it.

    Raises:
        ValueError: the body did not arrive in time, has another coding than gzip, or is not one whole gzip stream.
    """
    end = time.monotonic() + seconds
    body = bytearray()
    while len(body) <= maximum and (chunk := response.read1(CHUNK_SIZE, decode_content=False)):
        body += chunk
        if time.monotonic() > end:
            raise ValueError("the body did not arrive in time")
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding == "identity" or len(body) > maximum:
        return bytes(body)
    if coding not in ("gzip", "x-gzip"):  # two names of the same coding (RFC 9110, section 8.4.1.3)
        raise ValueError("the body has a content coding other than gzip")
    return _unzip(bytes(body), maximum)


def _unzip(body: bytes, maximum: int) -> bytes:
    stream = zlib.decompressobj(zlib.MAX_WBITS + 16)  # 16: a gzip header
    try:
        content = stream.decompress(body, maximum + 1)
    except zlib.error:
        raise ValueError("the body is no gzip stream") from None
    if len(content) <= maximum and (not stream.eof or stream.unused_data):
        raise ValueError("the body is not one whole gzip stream")
    return content


def tls_until(end: float) -> ssl.SSLContext:
    """A TLS context that trusts the machine's certificates. Its connections fail at ``end`` (``time.monotonic``).

    A socket's timeout restarts with every byte, so a slow peer could hold a connection and its thread forever. Only the
    socket sees all bytes, also those that trickle in within the headers, between chunks or in a trailer.
    """

    class Socket(ssl.SSLSocket):
        def recv_into(self, *args: Any, **kwargs: Any) -> int:
            remaining = end - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the response did not arrive in time")
            self.settimeout(remaining)
            return super().recv_into(*args, **kwargs)

    context = ssl.create_default_context()
    context.sslsocket_class = Socket
    return context
