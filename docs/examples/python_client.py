import asyncio
import os

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client


async def main() -> None:
    headers = {"Authorization": f"Bearer {os.environ['TODO_TOKEN']}"}
    address = os.environ.get("TODO_URL", "http://localhost:5000")
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{address}/mcp", http_client=http)) as client,
    ):
        await client.call_tool("add_task", {"title": "Call the bank", "description": "On Friday"})
        result = await client.call_tool("list_tasks", {"status": "pending"})
        print(result.structured_content["message"])


asyncio.run(main())
