"""Adds a task and lists the open ones, over MCP with the official SDK."""

import asyncio
import os
import sys

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

URL = os.environ.get("TODO_URL", "http://localhost:5000")
TOKEN = os.environ.get("TODO_TOKEN") or sys.exit("Set TODO_TOKEN to your token, such as $(cat .data/token).")


async def main() -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{URL}/mcp", http_client=http)) as client,
    ):
        await client.call_tool("add_task", {"title": "Call the bank", "due": "friday 9am"})
        result = await client.call_tool("list_tasks", {"status": "pending"})
        for task in result.structured_content["data"]["tasks"]:
            print(task["task_id"], task["title"], task.get("due", ""))


asyncio.run(main())
