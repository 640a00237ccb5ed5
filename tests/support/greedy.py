"""A process that keeps many connections busy with one request. ``python -m tests.support.greedy`` reads it as JSON.

It is a process of its own, so that its work does not delay the clients that a test measures.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

CONNECTIONS = 64


@contextmanager
def kept_busy(url: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Iterator[Counter[str]]:
    """Inside the context, 64 connections repeat the request. At its end, the counter has the statuses of the answers.

    A request with a body is a POST.
    """
    order = {"url": url, "path": path, "body": "" if body is None else json.dumps(body), "headers": headers or {}}
    command = [sys.executable, "-m", __name__]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "connected\n"
    statuses = Counter[str]()
    try:
        yield statuses
    finally:
        output, _ = process.communicate("\n")
        statuses.update(json.loads(output))


async def _main() -> None:
    order = json.loads(sys.stdin.readline())
    address = urlsplit(order["url"])
    lines = [f"{'POST' if order['body'] else 'GET'} {order['path']} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in order["headers"].items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(order['body'])}"] if order["body"] else []
    request = ("\r\n".join(lines) + "\r\n\r\n" + order["body"]).encode()
    statuses = Counter[str]()

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length:"))
            await reader.readexactly(int(length.partition(":")[2]))
            statuses[head.split()[1]] += 1

    streams = [await asyncio.open_connection(address.hostname, address.port) for _ in range(CONNECTIONS)]
    tasks = [asyncio.create_task(repeat(*stream)) for stream in streams]
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    print(json.dumps(statuses))


if __name__ == "__main__":
    asyncio.run(_main())
