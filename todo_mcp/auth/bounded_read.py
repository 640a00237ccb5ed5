"""Reading what somebody else's server sends, for a bounded time: a socket's timeout starts anew with every byte."""

import time

from urllib3 import BaseHTTPResponse

PIECE = 8192  # bytes


def read_within(response: BaseHTTPResponse, *, seconds: float, maximum: int) -> bytes:
    """The body; of one that is larger, one byte more than the maximum at least.

    Raises:
        ValueError: it did not arrive in time.
    """
    end = time.monotonic() + seconds
    body = bytearray()
    while len(body) <= maximum and (piece := response.read1(PIECE)):
        body += piece
        if time.monotonic() > end:
            raise ValueError("the body did not arrive in time")
    return bytes(body)
