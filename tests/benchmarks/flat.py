"""`make flat`: times every call with ten thousand and ten million tasks and messages; exit code 1 if one costs more.

Two databases of one PostgreSQL, each with its own server, are called in turn. The calls are for ordinary users, a
different one each time; for one with a thousand tasks; and for one huge user. The huge user has a tenth of all tasks,
and a conversation with a hundredth of all messages. Conversations and messages are named by id and by ref. Prints the
medians in milliseconds, as a client on this machine sees them, and their ratio.
"""

import argparse
import itertools
import os
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import psycopg

from tests.benchmarks import servers
from tests.benchmarks.flat_calls import BOUNDED, cases
from tests.benchmarks.flat_fill import HUGE, LONG, THOUSAND, fill
from tests.benchmarks.flat_site import Person, Site
from todo_mcp.core.pagination import EPOCH, Position

RATIO_MAX = 1.25
KINDS = ("ordinary", "thousand", "huge")
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
_REF = "SELECT ref FROM {table} WHERE id = %s"
_MIDDLE = """
SELECT {time}, id FROM {table} WHERE {column} = %s ORDER BY {time} DESC, id DESC
OFFSET (SELECT count(*) / 2 FROM {table} WHERE {column} = %s) LIMIT 1
"""


def measure(sites: list[Site], samples: int) -> None:
    """Call both in turn, so that other load on the machine slows both down.

    Every call is made once for each user before, so that the work is measured, and not the disk.
    """
    for sample, kind in itertools.product(range(-samples, samples), KINDS):
        saved: list[dict[str, Any]] = [{} for _ in sites]
        for name, call in cases(kind):
            if name.startswith("admin") and sample % 10:
                continue
            for n in (0, 1) if sample % 2 else (1, 0):
                people = sites[n].people[kind]
                milliseconds = call(sites[n], people[sample % len(people)], saved[n])
                if sample >= 0:
                    sites[n].times.setdefault((kind, name), []).append(milliseconds)


def table(small: Site, large: Site) -> bool:
    """Print a line for each call. Returns whether all are within the limit.

    The admin's searches have none, nor has a search of the huge user that reads a bounded number of tasks.
    """
    flat = True
    print(f"{'call':33}{'user':10}{'small ms':>9}{'large ms':>9}{'ratio':>7}")
    for (kind, name), times in small.times.items():
        few, many = statistics.median(times), statistics.median(large.times[kind, name])
        is_bounded = name.startswith("admin") or (kind == "huge" and name in BOUNDED)
        within = many <= few * RATIO_MAX or is_bounded
        flat &= within
        mark = "" if within else f"  MORE THAN {RATIO_MAX}"
        print(f"{name:33}{kind:10}{few:9.2f}{many:9.2f}{many / few:7.2f}{mark}")
    return flat


def people(connection: "psycopg.Connection[Any]", samples: int) -> dict[str, list[Person]]:
    def middle(table: str, column: str, value: object, when: str = "created_at") -> Position:
        statement = _MIDDLE.format(table=table, column=column, time=when)
        position: tuple[datetime, int] | None = connection.execute(statement, [value, value]).fetchone()
        return Position(*position) if position else Position(EPOCH, 1)

    def ref(table: str, row_id: int) -> str:
        [(name,)] = connection.execute(_REF.format(table=table), [row_id]).fetchall()
        return str(name)

    def person(user_id: str, conversation_id: int) -> Person:
        message = middle("messages", "conversation_id", conversation_id)
        conversation = middle("conversations", "user_id", user_id, "updated_at")
        return Person(
            user_id,
            {
                "conversation": conversation_id,
                "conversation_ref": ref("conversations", conversation_id),
                "message": message.id,
                "message_ref": ref("messages", message.id),
            },
            {
                "tasks": middle("tasks", "user_id", user_id).encode(),
                "conversations": conversation.encode(),
                "conversations_asc": conversation.encode(is_reversed=True),
                "messages": message.encode(),
                "messages_desc": message.encode(is_reversed=True),
            },
        )

    rows = connection.execute(_SAMPLE, [HUGE, samples]).fetchall()
    return {
        "ordinary": [person(*row) for row in rows],
        "thousand": [Person(THOUSAND, {}, {})],
        "huge": [person(HUGE, LONG)],
    }


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
