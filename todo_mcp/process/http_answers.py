"""How an answer is sent, and when the connection ends. Pieces show whether a slow client still reads."""

from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

PIECE = 65_536  # bytes


class Flow(FlowControl):
    """Flow control that keeps reading paused while unparsed requests wait."""

    is_held = False

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


class Cycle(RequestResponseCycle):
    """One request and its answer. An answer sent before the whole body was read ends the connection."""

    is_last = False

    async def send(self, message: Any) -> None:
        if self.transport.is_closing():
            self.disconnected = True  # uvicorn notifies only the latest of the pipelined requests
        if message["type"] == "http.response.start":
            self.keep_alive = self.keep_alive and not self.more_body
            await super().send(message)
            # The answer says "connection: close". HttpProtocol closes it after the client had time to read.
            self.is_last, self.keep_alive = not self.keep_alive, True
            return
        body = message.get("body", b"")
        if len(body) > PIECE:
            for start in range(0, len(body) - PIECE, PIECE):
                piece: Any = {**message, "body": body[start : start + PIECE], "more_body": True}
                await super().send(piece)
            message = {**message, "body": body[start + PIECE :]}
        await super().send(message)
