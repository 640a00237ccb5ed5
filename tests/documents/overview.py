"""The picture at the top of README: what a person says, the real calls and answers, and what an operator sees."""

import asyncio
import base64
import json
from html import escape
from pathlib import Path
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation
from playwright.sync_api import FloatRect, Page

TEMPLATE = Path(__file__).parent / "overview.html"
USER = "sam"
WIDTH, PADDING = 1144, 14  # pixels of the operator's part

# One item for each call: the person's words, the tool, its arguments, and the message of the answer.
Parts = list[tuple[str, str, dict[str, Any], str]]


def play(url: str, token: str) -> Parts:
    """Make the calls of a short conversation."""
    return asyncio.run(_play(url, token))


async def _play(url: str, token: str) -> Parts:
    parts: Parts = []
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
        Client(
            streamable_http_client(f"{url}/mcp", http_client=http),
            client_info=Implementation(name="Claude", version=""),
        ) as client,
    ):

        async def say(words: str, tool: str, **arguments: Any) -> Any:
            result = await client.call_tool(tool, arguments)
            assert result.structured_content and not result.is_error, result
            parts.append((words, tool, arguments, result.structured_content["message"]))
            return result.structured_content["data"]

        await say("Remind me to call the bank on Friday.", "add_task", title="Call the bank", due="friday 9am")
        moved = await say("Make it Monday, and urgent.", "update_task", match="bank", due="monday", priority="high")
        await say("No, undo that.", "update_task", undo=moved["undo"])
    return parts


def draw(page: Page, parts: Parts, path: Path) -> None:
    """Put the conversation, and the newest lines of the admin's page Activity, into one picture."""
    page.set_viewport_size({"width": WIDTH + 320, "height": 900})
    page.goto(f"/admin/tasks/taskevent/?user={USER}")
    page.wait_for_load_state("networkidle")
    rows = page.locator(".todo-activity > *")
    first, last = rows.nth(0).bounding_box(), rows.nth(len(parts) - 1).bounding_box()
    assert first and last
    height = last["y"] + last["height"] - first["y"]
    clip = FloatRect(x=first["x"] - PADDING, y=first["y"], width=first["width"] + 2 * PADDING, height=height)
    seen = base64.b64encode(page.screenshot(clip=clip, full_page=True)).decode()
    lines = [
        f'<div class="said">{escape(words)}</div>'
        f'<div class="answer"><code><b>{tool}</b> {escape(json.dumps(arguments))}</code><p>{escape(message)}</p></div>'
        for words, tool, arguments, message in parts
    ]
    lines += [f'<section><h2>The operator sees</h2><img alt="" src="data:image/png;base64,{seen}"></section>']
    page.set_content(TEMPLATE.read_text().replace("</main>", "".join(lines) + "</main>"))
    page.locator("body").screenshot(path=path)
