"""A network between the server and PostgreSQL that fails on demand. It ends TLS, as some providers' proxies do."""

import asyncio
import contextlib
import datetime
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.processes import free_port

_TLS_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


class Proxy:
    """Listens on TCP and forwards to the Unix socket of a PostgreSQL.

    Modes: ``pass``. ``drop``: connections end, and new ones too. ``stall``: no byte goes on. ``answers_lost``: what the
    server sends arrives, PostgreSQL's answer does not, and the connection ends. ``no_tls``: TLS is refused.
    """

    def __init__(self, directory: Path, socket: Path) -> None:
        self.target = socket
        self.mode = "pass"
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/todo_mcp?sslmode=require"
        self._tls = _tls_context(directory)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result()

    @contextlib.contextmanager
    def failing(self, mode: str) -> Iterator[None]:
        self.mode = mode
        if mode in ("drop", "no_tls"):
            self.cut()
        try:
            yield
        finally:
            self.mode = "pass"

    def cut(self) -> None:
        """End every connection."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            self._cut()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            await self._connect(reader, writer)
        writer.transport.abort()
        self._writers.discard(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self.mode == "drop":
            return
        await self._passes()
        assert await reader.readexactly(8) == _TLS_REQUEST
        if self.mode == "no_tls":
            writer.write(b"N")
            await writer.drain()
            await reader.read()
            return
        writer.write(b"S")
        await writer.start_tls(self._tls)
        of_postgres, to_postgres = await asyncio.open_unix_connection(self.target)
        self._writers.add(to_postgres)
        both = [
            asyncio.create_task(self._forward(reader, to_postgres)),
            asyncio.create_task(self._forward(of_postgres, writer, is_answer=True)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            to_postgres.transport.abort()
            self._writers.discard(to_postgres)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                await self._passes()
                if is_answer and self.mode == "answers_lost":
                    return
                writer.write(data)
                await writer.drain()

    async def _passes(self) -> None:
        while self.mode == "stall":
            await asyncio.sleep(0.02)


def _tls_context(directory: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    certificate = dated.sign(key, hashes.SHA256())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "proxy.pem"
    file.write_bytes(text + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
