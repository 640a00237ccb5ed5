"""Reading what somebody else's server sends: no longer than a given time, and no more than a given size."""

import ssl
import time
import zlib
from typing import Any

from urllib3 import BaseHTTPResponse

PIECE = 8192  # bytes


def read_within(response: BaseHTTPResponse, *, seconds: float, maximum: int) -> bytes:
    """The body, unpacked; of one that is larger, one byte more than the maximum at least.

    urllib3 must not unpack it: it does so as often as the sender says, and 300 bytes of ``gzip, gzip`` become
    gigabytes. One gzip is unpacked here: we do not ask for it, but some networks send compressed what they store so.

    Raises:
        ValueError: the body did not arrive in time, is compressed otherwise, or is no whole gzip stream.
    """
    end = time.monotonic() + seconds
    body = bytearray()
    while len(body) <= maximum and (piece := response.read1(PIECE, decode_content=False)):
        body += piece
        if time.monotonic() > end:
            raise ValueError("the body did not arrive in time")
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding == "identity" or len(body) > maximum:
        return bytes(body)
    if coding not in ("gzip", "x-gzip"):  # two names for one coding (RFC 9110, section 8.4.1.3)
        raise ValueError("the body has a content coding other than gzip")
    return _unzip(bytes(body), maximum)


def _unzip(body: bytes, maximum: int) -> bytes:
    stream = zlib.decompressobj(zlib.MAX_WBITS + 16)  # 16: a gzip header
    try:
        unpacked = stream.decompress(body, maximum + 1)
    except zlib.error:
        raise ValueError("the body is no gzip stream") from None
    if len(unpacked) <= maximum and (not stream.eof or stream.unused_data):
        raise ValueError("the body is not one whole gzip stream")
    return unpacked


def tls_until(end: float) -> ssl.SSLContext:
    """TLS with the certificates that this machine trusts, for connections that fail at ``end`` (``time.monotonic``).

    A socket's timeout starts anew with every byte, so a peer could hold a connection, and the thread that reads it, for
    ever. Bytes that trickle in a head, between chunks or in a trailer are seen nowhere but here.
    """

    class Socket(ssl.SSLSocket):
        def recv_into(self, *args: Any, **kwargs: Any) -> int:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer did not arrive in time")
            self.settimeout(left)
            return super().recv_into(*args, **kwargs)

    context = ssl.create_default_context()
    context.sslsocket_class = Socket
    return context
