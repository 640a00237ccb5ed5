"""How the server introduces itself: with an icon, in the answers to ``initialize`` and ``server/discover``."""

import base64
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request

ICON = Path(__file__).parents[2] / "static" / "todo_mcp" / "icon.svg"


class IntroducedServer(Server[Any]):
    """The SDK's server with the icon of the pages.

    In the newest revision, the SDK adds ``server_info_stamp`` to each answer. A short answer has 600 bytes and the icon
    450, so only ``server/discover`` has it.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, icons=[_icon()], **options)
        self.add_request_handler("server/discover", types.RequestParams, self._introduce)

    @property
    def server_info_stamp(self) -> dict[str, Any]:
        return {key: value for key, value in super().server_info_stamp.items() if key != "icons"}

    async def _introduce(
        self, ctx: ServerRequestContext[Any, Request], params: types.RequestParams | None
    ) -> types.DiscoverResult:
        return types.DiscoverResult(
            supported_versions=list(MODERN_PROTOCOL_VERSIONS),
            capabilities=self.get_capabilities(protocol_version=ctx.protocol_version),
            instructions=self.instructions,
            _meta={types.SERVER_INFO_META_KEY: super().server_info_stamp},
        )


def _icon() -> types.Icon:
    """A data URI, which a client can show without a request to this server."""
    image = base64.b64encode(ICON.read_bytes()).decode()
    return types.Icon(src=f"data:image/svg+xml;base64,{image}", mime_type="image/svg+xml", sizes=["any"])
