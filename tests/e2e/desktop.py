"""A desktop client that starts a command, with the configuration of docs/connecting.md, and ways to a server."""

import asyncio
import contextlib
import json
import os
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client
from mcp_types import Implementation

from tests.e2e.programs import HERE
from tests.support.processes import eventually
from tests.support.server_process import ROOT

NAME = Implementation(name="claude-ai", version="0.1.0")
ADDRESSES = {
    "localhost": "http://localhost:5000",
    "home": "http://192.168.1.5:5000",
    "https": "https://todo.example.com",
}


def documented() -> dict[tuple[str, str], dict[str, Any]]:
    """The command of each block for desktop clients on the page, by place and by way in."""
    page = (ROOT / "docs" / "connecting.md").read_text()
    section = page.partition("## Desktop clients that start commands\n")[2].partition("\n## ")[0]
    commands = {}
    for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL):
        command = json.loads(block)["mcpServers"]["todo"]
        [place] = [place for place, address in ADDRESSES.items() if f"{address}/mcp" in command["args"]]
        commands[place, "token" if "env" in command else "sign-in"] = command
    return commands


@dataclass
class Desktop:
    """A desktop client on a computer with Node.js and an empty home directory."""

    command: dict[str, Any]
    node: Path
    home: Path
    address: str = ""
    token: str = ""
    more: tuple[str, ...] = ()  # arguments of the bridge beside those of the page
    ca: Path | None = None

    def parameters(self) -> StdioServerParameters:
        """What the client starts. ``npx`` finds the installed bridge, if its version is that of the page."""
        places = {f"{address}/mcp": f"{self.address}/mcp" for address in ADDRESSES.values()}
        env = {name: value.replace("<token>", self.token) for name, value in self.command.get("env", {}).items()}
        env |= {
            "HOME": str(self.home),
            "BROWSER": "true",
            "PATH": f"{self.node.parent}{os.pathsep}{os.environ['PATH']}",
        }
        env |= {"NODE_EXTRA_CA_CERTS": str(self.ca)} if self.ca else {}
        args = [places.get(argument, argument) for argument in self.command["args"]]
        return StdioServerParameters(command=self.command["command"], args=[*args, *self.more], env=env, cwd=HERE)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        with self.log.open("a") as log:
            async with Client(stdio_client(self.parameters(), log), mode="legacy", client_info=NAME) as client:
                yield client

    @property
    def log(self) -> Path:
        """What the bridge writes to standard error."""
        return self.home / "bridge.log"

    def question(self) -> str:
        """The address of the page for sign-in, which the bridge opens and logs."""
        found = eventually(
            lambda: re.search(r"^(http\S+/oauth/authorize\?\S+)$", self.log_text(), re.MULTILINE), "a page"
        )
        return found[1]

    def log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@contextlib.asynccontextmanager
async def relay(address: str, target: int, certificate: Path) -> AsyncIterator[None]:
    """Let this address lead to a port of this machine, as a proxy that ends TLS or a computer at home does."""
    parts = urlsplit(address)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if parts.scheme == "https" else None
    if tls:
        tls.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        of_server, to_server = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(_pump(reader, to_server), _pump(of_server, writer))

    async with await asyncio.start_server(serve, parts.hostname, parts.port, ssl=tls):
        yield


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
