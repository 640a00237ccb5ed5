"""How an answer is sent: in pieces, so that a slow client shows that it reads, and so that the connection can end."""

from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

PIECE = 65_536  # bytes


class Flow(FlowControl):
    """Reading stays paused while requests wait that have not been parsed."""

    held = False

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class Cycle(RequestResponseCycle):
    """One request and its answer. The connection ends with an answer that came before the body was read."""

    is_last = False

    async def send(self, message: Any) -> None:
        if self.transport.is_closing():
            self.disconnected = True  # uvicorn tells the latest of pipelined requests alone
        if message["type"] == "http.response.start":
            self.keep_alive = self.keep_alive and not self.more_body
            await super().send(message)
            # It has said "connection: close". The protocol closes, when the client has had time to read.
            self.is_last, self.keep_alive = not self.keep_alive, True
            return
        body = message.get("body", b"")
        if len(body) > PIECE:  # so that a slow client shows that it reads
            for start in range(0, len(body) - PIECE, PIECE):
                piece: Any = {**message, "body": body[start : start + PIECE], "more_body": True}
                await super().send(piece)
            message = {**message, "body": body[start + PIECE :]}
        await super().send(message)
