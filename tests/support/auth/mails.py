"""A local mail server that tests can break, and a wait for mails that are sent outside of requests."""

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from django.core import mail

from tests.support.application import Orm
from tests.support.processes import PATIENCE
from todo_mcp.auth.models import ResetRequest


@dataclass
class MailServer:
    """Speaks as much SMTP (RFC 5321) as a client needs.

    It refuses ``refuses`` connections with 421. While it ``hangs``, it is silent.
    """

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    connections: int = 0
    refuses: int = 0
    hangs: bool = False
    seconds: float = 0.0  # the time that each mail takes
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def receivers(self) -> list[str]:
        return sorted(str(mail["to"]) for mail in self.mails)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.append(writer)
        with suppress(ConnectionError):
            if self.hangs:
                await reader.read()
            elif self.refuses:
                self.refuses -= 1
                writer.write(b"421 come again\r\n")
            else:
                await self._talk(reader, writer)
        writer.close()

    async def hang_up(self) -> None:
        for writer in self._open:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            command = line[:4].upper()
            writer.write(
                b"354 go on\r\n" if command == b"DATA" else b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n"
            )
            if command == b"DATA":
                await asyncio.sleep(self.seconds)
                text = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(email.message_from_bytes(text[:-3], policy=email.policy.default))
                writer.write(b"250 taken\r\n")
            elif command == b"QUIT":
                return


@asynccontextmanager
async def mail_server(settings: Any) -> AsyncIterator[MailServer]:
    """A mail server. Inside the context the settings name it."""
    server = MailServer()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        server.port = listener.sockets[0].getsockname()[1]
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        try:
            yield server
        finally:
            await server.hang_up()


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not look():
            await asyncio.sleep(0.01)


async def outbox(orm: Orm) -> list[mail.EmailMessage]:
    """All sent mails, after the queue of mails is empty."""
    async with asyncio.timeout(PATIENCE):
        while await orm(ResetRequest.objects.exists):
            await asyncio.sleep(0.01)
    mails: list[mail.EmailMessage] = mail.outbox
    return mails


def link_in(text: str) -> str:
    """The path of the link with which a person chooses a new password."""
    match = re.search(r"http://localhost:5000(/\S+)", text.partition("Choose")[2])
    assert match, text
    return match[1]
