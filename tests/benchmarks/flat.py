"""`make flat`: times every call with ten thousand and ten million tasks and messages; exit code 1 if one costs more.

Two databases of one PostgreSQL, each with its own server, are called in turn. The calls are for ordinary users, a
different one each time, and for one huge user. The huge user has a tenth of all tasks, and a conversation with a
hundredth of all messages. Prints the medians in milliseconds, as a client on this machine sees them, and their ratio.
"""

import argparse
import http.client
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from tests.benchmarks import servers
from tests.benchmarks.fill import RARE
from tests.benchmarks.flat_fill import HUGE, LONG, fill
from tests.support.mcp_messages import MODERN, mcp_headers, tool_request
from todo_mcp.core.pagination import Position

RATIO_MAX = 1.3
KINDS = ("ordinary", "huge")
_CONF = """
wal_level = minimal
max_wal_senders = 0
max_wal_size = 16GB
checkpoint_timeout = 1h
autovacuum = off
"""  # while the tables are filled; autovacuum is on again for the measurement
_OPERATOR = """
from django.test import Client
from todo_mcp.users.models import User
client = Client()
client.force_login(User.objects.create_superuser("operator"), "django.contrib.auth.backends.ModelBackend")
print(client.cookies["sessionid"].value)
"""
_SAMPLE = """
SELECT user_id, id FROM conversations WHERE user_id <> %s AND updated_at < now() ORDER BY md5(id::text) LIMIT %s
"""
_MIDDLE = """
SELECT {time}, id FROM {table} WHERE {column} = %s ORDER BY {time} DESC, id DESC
OFFSET (SELECT count(*) / 2 FROM {table} WHERE {column} = %s) LIMIT 1
"""


@dataclass
class Person:
    """A user, a conversation of theirs, and cursors to the middle of each list."""

    user_id: str
    conversation_id: int
    cursors: dict[str, str]


@dataclass
class Site:
    """A server over a database of some size, and how long each of its calls took, in milliseconds."""

    port: int
    token: str
    session: str
    people: dict[str, list[Person]]
    times: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, float]:
        """Status, body and milliseconds."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        started = time.perf_counter()
        self._connection.request(method, path, content, headers if content else headers | {"Content-Type": ""})
        response = self._connection.getresponse()
        answer = response.read()
        return response.status, answer, (time.perf_counter() - started) * 1000


Call = Callable[[Site, Person, dict[str, Any]], float]


def tool(door: str, name: str, **template: Any) -> Call:
    """A call of a tool. It replaces arguments that begin with $ by saved values, and saves the task's id."""

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        arguments = {key: _value(value, person, saved) for key, value in template.items()} | {"user_id": person.user_id}
        if door == "http":
            status, answer, milliseconds = site.send("POST", f"/api/tools/{name}", arguments)
            envelope = json.loads(answer)
        else:
            message, headers = tool_request(MODERN, name, arguments), mcp_headers(MODERN, "tools/call", name)
            status, answer, milliseconds = site.send("POST", "/mcp", message, **headers)
            envelope = json.loads(answer)["result"]["structuredContent"]
        assert (status, envelope["status"]) == (200, "success"), answer
        saved.setdefault("task_id", envelope["data"].get("task_id"))
        return milliseconds

    return call


def rest(method: str, path: str, body: Any = None, **query: Any) -> Call:
    """A call of REST. It saves the id of a new conversation."""

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        query_string = "&".join(
            f"{name}={_value(value, person, saved)}" for name, value in {**query, "user_id": "$user"}.items()
        )
        full_path = path.format(conversation=person.conversation_id, new=saved.get("id"))
        status, answer, milliseconds = site.send(method, f"/api/conversations{full_path}?{query_string}", body)
        assert status < 300, answer
        if method == "POST" and not path:
            saved["id"] = json.loads(answer)["id"]
        return milliseconds

    return call


def search(words: str) -> Call:
    """The admin's search in messages."""

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        query = words.format(user=person.user_id)
        path = f"/admin/conversations/conversation/?q={query}"
        status, answer, milliseconds = site.send("GET", path, Cookie=f"sessionid={site.session}")
        assert status == 200, answer
        return milliseconds

    return call


def _value(value: Any, person: Person, saved: dict[str, Any]) -> Any:
    if value == "$task":
        return saved["task_id"]
    if value == "$user":
        return person.user_id
    return person.cursors[value[1:]] if str(value).startswith("$") else value


TURN = [{"role": role, "content": "Remind me to call the bank on Friday."} for role in ("user", "assistant")]


def cases() -> Iterator[tuple[str, Call]]:
    """The measured calls, in an order that works and leaves the lists as long as before."""
    for door in ("mcp", "http"):
        yield f"{door} add_task", tool(door, "add_task", title="Call the bank", description="On Friday")
        yield f"{door} list_tasks", tool(door, "list_tasks")
        yield f"{door} list_tasks, deep", tool(door, "list_tasks", cursor="$tasks")
        yield f"{door} list_tasks, pending", tool(door, "list_tasks", status="pending")
        yield f"{door} list_tasks, completed", tool(door, "list_tasks", status="completed")
        yield f"{door} update_task", tool(door, "update_task", task_id="$task", title="Call the other bank")
        yield f"{door} complete_task", tool(door, "complete_task", task_id="$task")
        yield f"{door} delete_task", tool(door, "delete_task", task_id="$task")
    yield "make a conversation", rest("POST", "", {})
    yield "list conversations", rest("GET", "")
    yield "list conversations, deep", rest("GET", "", cursor="$conversations")
    yield "read a conversation", rest("GET", "/{conversation}")
    yield "append a turn", rest("POST", "/{conversation}/messages", TURN)
    yield "list messages", rest("GET", "/{conversation}/messages")
    yield "list messages, deep", rest("GET", "/{conversation}/messages", cursor="$messages")
    yield "last 20 messages", rest("GET", "/{conversation}/messages", last=20)
    yield "append to the new one", rest("POST", "/{new}/messages", TURN)
    yield "delete the new one", rest("DELETE", "/{new}")
    for name, word in (("rare", RARE), ("middling", "tus"), ("common", "balin")):
        yield f"admin: {name} word", search(word)
        yield f"admin: {name} word of user", search(f"{word}+user:{{user}}")


def measure(sites: list[Site], samples: int) -> None:
    """Call both in turn, so that other load on the machine slows both down.

    Every call is made once for each user before, so that the work is measured, and not the disk.
    """
    for sample, kind in itertools.product(range(-samples, samples), KINDS):
        saved: list[dict[str, Any]] = [{} for _ in sites]
        for name, call in cases():
            if name.startswith("admin") and sample % 10:
                continue
            if name.endswith("add_task"):
                saved = [{} for _ in sites]
            for n in (0, 1) if sample % 2 else (1, 0):
                people = sites[n].people[kind]
                milliseconds = call(sites[n], people[sample % len(people)], saved[n])
                if sample >= 0:
                    sites[n].times.setdefault((kind, name), []).append(milliseconds)


def table(small: Site, large: Site) -> bool:
    """Print a line for each call. Returns whether all are within the limit; the admin's searches have none."""
    flat = True
    print(f"{'call':30}{'user':10}{'small ms':>9}{'large ms':>9}{'ratio':>7}")
    for (kind, name), times in small.times.items():
        few, many = statistics.median(times), statistics.median(large.times[kind, name])
        within = many <= few * RATIO_MAX or name.startswith("admin")
        flat &= within
        mark = "" if within else f"  MORE THAN {RATIO_MAX}"
        print(f"{name:30}{kind:10}{few:9.2f}{many:9.2f}{many / few:7.2f}{mark}")
    return flat


def people(connection: "psycopg.Connection[Any]", samples: int) -> dict[str, list[Person]]:
    def person(user_id: str, conversation_id: int) -> Person:
        def cursor(table: str, column: str, value: object, when: str = "created_at") -> str:
            statement = _MIDDLE.format(table=table, column=column, time=when)
            position: tuple[datetime, int] | None = connection.execute(statement, [value, value]).fetchone()
            return Position(*position).encode() if position else ""

        return Person(
            user_id,
            conversation_id,
            {
                "tasks": cursor("tasks", "user_id", user_id),
                "conversations": cursor("conversations", "user_id", user_id, "updated_at"),
                "messages": cursor("messages", "conversation_id", conversation_id),
            },
        )

    rows = connection.execute(_SAMPLE, [HUGE, samples]).fetchall()
    return {"ordinary": [person(*row) for row in rows], "huge": [person(HUGE, LONG)]}


def prepare(url: str, tasks: int, samples: int, port: int, report: Callable[[str], object]) -> Site:
    servers.manage(url, "migrate", "-v0")
    token = servers.manage(url, "issue_token", "--service", "flat")
    fill(url, tasks, report)
    session = servers.manage(url, "shell", "--no-imports", "-v0", "-c", _OPERATOR).splitlines()[-1]
    with psycopg.connect(url, autocommit=True) as connection:
        return Site(port, token, session, people(connection, samples))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000, help="tasks and messages of the small database")
    parser.add_argument("--large", type=int, default=10_000_000, help="tasks and messages of the large database: 25 GB")
    parser.add_argument("--samples", type=int, default=300, help="samples of each call")
    options = parser.parse_args()
    server = servers.start_postgresql("flat", _CONF)
    os.environ["SECRET_KEY"] = "f" * 60  # one process makes the operator's session, and another reads it
    with ExitStack() as stack, psycopg.connect(server.get_uri(), autocommit=True) as connection:
        sites = []
        for port, name in ((5111, "small"), (5112, "large")):
            url = servers.create_database(server, name)
            sites.append(
                prepare(url, getattr(options, name), options.samples, port, lambda line: print(line, flush=True))
            )
            stack.enter_context(servers.serving(name, port, url, {}, names_user=True, LOG_LEVEL="WARNING"))
        connection.execute("ALTER SYSTEM SET autovacuum = on")
        connection.execute("SELECT pg_reload_conf()")
        measure(sites, options.samples)
    if not table(*sites):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
