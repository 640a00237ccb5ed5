"""The rehearsal: two hosts behind HAProxy, PgBouncer, a primary and its replica, and what each of them may go through.

Clients call all the while, over HTTP and in both eras of MCP. When a host dies or is restarted, no client may see a
failure. When PgBouncer or the primary dies, they may, but a call that is repeated succeeds. At the end everything that
was acknowledged is in the database, once.
"""

import asyncio
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx2

from tests.cluster.clients import Client, tally_since
from tests.cluster.machines import SITE, Balancer, Pooler, Postgres, TodoHost
from tests.cluster.network import DISK, Host, make_lan
from tests.support.acknowledged import Acknowledged
from tests.support.caller import Caller
from tests.support.mcp_messages import HANDSHAKE, MODERN
from tests.support.server_process import CAST

DOORS = ("http", MODERN, HANDSHAKE[-1], HANDSHAKE[0])
CALM = 4  # seconds of calls before, between and after the troubles
UNNOTICED = 3  # seconds in which nobody does anything about a dead primary
GAP_MAX = 20  # seconds; the outage that a promotion may be


@dataclass
class Site:
    """All the machines, at work."""

    hosts: tuple[TodoHost, TodoHost]
    balancer: Balancer
    pooler: Pooler
    primary: Postgres
    replica: Postgres
    tokens: dict[str, str]


@dataclass(frozen=True)
class Phase:
    """Something that happens while clients call. ``seen`` says whether they may see failures."""

    name: str
    happen: Callable[[Site], None]
    seen: bool = False


def nothing(site: Site) -> None:
    time.sleep(CALM)


def host_is_killed(site: Site) -> None:
    a, _ = site.hosts
    time.sleep(CALM)
    a.host.kill()
    time.sleep(CALM)
    a.start()
    a.wait_until_ready()
    site.balancer.wait_until_up("a")


def host_is_cut_off(site: Site) -> None:
    """As when it loses power: nothing is refused, there is just no answer."""
    a, _ = site.hosts
    time.sleep(CALM)
    a.host.unplug()
    time.sleep(2 * CALM)  # the checks need half of it to find out
    a.host.plug()
    site.balancer.wait_until_up("a")


def hosts_are_restarted(site: Site) -> None:
    for host, name in zip(site.hosts, ("a", "b"), strict=True):
        host.restart()
        site.balancer.wait_until_up(name)


def pooler_is_killed(site: Site) -> None:
    site.pooler.kill()
    time.sleep(1)
    site.pooler.start()
    time.sleep(CALM)


def primary_dies(site: Site) -> None:
    """It loses power. Somebody notices, makes the replica the primary, and leads PgBouncer there."""
    site.primary.host.unplug()
    site.primary.host.kill()
    time.sleep(UNNOTICED)
    site.replica.promote()
    site.pooler.lead_to(site.replica)
    time.sleep(2 * CALM)


PHASES = (
    Phase("nothing happens", nothing),
    Phase("kill -9 of host A, and its start", host_is_killed),
    Phase("host A is cut off, and comes back", host_is_cut_off),
    Phase("rolling restart of A and B", hosts_are_restarted),
    Phase("kill -9 of PgBouncer, and its start", pooler_is_killed, seen=True),
    Phase("the primary dies, the replica is promoted", primary_dies, seen=True),
    Phase("nothing happens, on the new primary", nothing),
)


def build() -> Site:
    """The machines, at the addresses that the configuration files name, each after those that it needs."""
    make_lan({SITE: "10.0.0.10"})
    primary = Postgres(Host("primary", "10.0.0.21"))
    replica = Postgres(Host("replica", "10.0.0.22"))
    hosts = [
        TodoHost(
            Host(f"host-{name}", f"10.0.0.1{number}"),
            balancer="10.0.0.10",
            pooler="10.0.0.20",
            primary=primary.host.address,
        )
        for number, name in enumerate("ab", start=1)
    ]
    primary.make_primary()
    cast = json.loads(hosts[0].manage("shell", "--no-imports", "-c", CAST.format(first=0, count=len(DOORS))))
    replica.make_replica(primary)
    pooler = Pooler(Host("pooler", "10.0.0.20"), primary)
    for host in hosts:
        host.start()
    for host in hosts:
        host.wait_until_ready()
    balancer = Balancer(Host("balancer", "10.0.0.10"))
    balancer.wait_until_up("a", "b")
    return Site((hosts[0], hosts[1]), balancer, pooler, primary, replica, cast["users"])


async def rehearse(site: Site) -> tuple[list[Client], list[str]]:
    """Go through the phases. The clients, and what did not hold."""
    trust = ssl.create_default_context(cafile="/etc/haproxy/todo.pem")
    complaints: list[str] = []
    async with AsyncExitStack() as stack:
        clients = []
        for door, token in zip(DOORS, site.tokens.values(), strict=True):
            http = httpx2.AsyncClient(base_url=site.balancer.url, verify=trust, timeout=45)
            clients.append(Client(Caller(await stack.enter_async_context(http), token), door))
        async with asyncio.TaskGroup() as group:
            working = [group.create_task(client.work()) for client in clients]
            for phase in PHASES:
                complaints += await _go_through(phase, site, clients)
            for client in clients:
                client.stopping = True
            await asyncio.gather(*working)
    return clients, complaints


async def _go_through(phase: Phase, site: Site, clients: list[Client]) -> list[str]:
    retries, began = site.balancer.retries(), time.monotonic()
    await asyncio.to_thread(phase.happen, site)
    tally = await tally_since(began, clients)
    retried = site.balancer.retries() - retries
    seen = ", ".join(f"{count} {what}" for what, count in sorted(tally.failures.items())) or "0"
    told = f"{phase.name:<42} {tally.calls:>6} {retried:>9} {tally.slowest:>8.2f} s {tally.gap:>8.2f} s   {seen}"
    print(told, flush=True)
    complaints = []
    if tally.failures and not phase.seen:
        complaints.append(f"{phase.name}: clients saw failures")
    if tally.gap > GAP_MAX:
        complaints.append(f"{phase.name}: no answer for {tally.gap:.0f} s")
    return complaints


def compare(clients: list[Client], database: Postgres) -> list[str]:
    """Where the database does not hold exactly what the clients were told."""
    told = Acknowledged()
    for client in clients:
        told.added |= client.told.added
        told.completed |= client.told.completed
    complaints = told.complaints(database.query("SELECT title, id, completed FROM tasks"))
    found = "; ".join(complaints) or "all there, each once"
    print(f"\n{len(told.added)} tasks added, {len(told.completed)} completed: {found}.")
    return complaints


def main() -> int:
    try:
        complaints = run()
    except BaseException:
        tell_logs()
        raise
    if complaints:
        tell_logs()
    return 1 if complaints else 0


def run() -> list[str]:
    """Build, rehearse, and print what happened. What did not hold."""
    print("Building: a primary and its replica, PgBouncer, two hosts, HAProxy …", flush=True)
    began = time.monotonic()
    site = build()
    print(f"Built in {time.monotonic() - began:.0f} s. {len(DOORS)} clients call: {', '.join(DOORS)}.\n")
    print(f"{'':<42} {'calls':>6} {'retried':>9} {'slowest':>10} {'gap':>10}   failures seen by clients", flush=True)
    clients, complaints = asyncio.run(rehearse(site))
    complaints += compare(clients, site.replica)
    for complaint in complaints:
        print(f"FAILED: {complaint}.")
    print(f"{time.monotonic() - began:.0f} s in all.")
    return complaints


def tell_logs() -> None:
    """The end of what each machine said, but for calls that went well."""
    for log in sorted(DISK.glob("*.log")):
        lines = [line for line in log.read_text().splitlines() if '"outcome": "success"' not in line]
        print(f"--- {log.name}", *lines[-20:], sep="\n", file=sys.stderr)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os._exit(128 + number))  # and with process 1 everything ends
    sys.exit(main())
