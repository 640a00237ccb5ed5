"""The rehearsal: failures of two hosts behind HAProxy, of PgBouncer, and of a primary with a replica.

Clients call all the time, over HTTP and in both eras of MCP. When a host dies or is restarted, no client may see a
failure. When PgBouncer or the primary dies, clients may see failures, but a repeated call succeeds. At the end the
database has every acknowledged write once.
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
CALM = 4  # seconds of calls before, between and after the failures
UNNOTICED = 3  # seconds before an operator notices that the primary is dead
GAP_MAX = 20  # seconds; the longest outage that a promotion may cause


@dataclass
class Site:
    """All machines, running."""

    hosts: tuple[TodoHost, TodoHost]
    balancer: Balancer
    pooler: Pooler
    primary: Postgres
    replica: Postgres
    tokens: dict[str, str]


@dataclass(frozen=True)
class Phase:
    """Something that happens while clients call. ``may_fail`` says whether the clients may see failures."""

    name: str
    happen: Callable[[Site], None]
    may_fail: bool = False


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
    """As if the host lost power: no connection is refused, but there is no answer."""
    a, _ = site.hosts
    time.sleep(CALM)
    a.host.unplug()
    time.sleep(2 * CALM)  # the balancer's checks need half of it to notice
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
    """The primary loses power. An operator notices, promotes the replica, and switches PgBouncer to it."""
    site.primary.host.unplug()
    site.primary.host.kill()
    time.sleep(UNNOTICED)
    site.replica.promote()
    site.pooler.switch_to(site.replica)
    time.sleep(2 * CALM)


PHASES = (
    Phase("nothing happens", nothing),
    Phase("kill -9 of host A, and its start", host_is_killed),
    Phase("host A is cut off, and comes back", host_is_cut_off),
    Phase("rolling restart of A and B", hosts_are_restarted),
    Phase("kill -9 of PgBouncer, and its start", pooler_is_killed, may_fail=True),
    Phase("the primary dies, the replica is promoted", primary_dies, may_fail=True),
    Phase("nothing happens, on the new primary", nothing),
)


def build() -> Site:
    """Start the machines at the addresses in the configuration files, each after those that it needs."""
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
    """Run the phases. Returns the clients, and a complaint for each failed check."""
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
                complaints += await _run_phase(phase, site, clients)
            for client in clients:
                client.stopping = True
            await asyncio.gather(*working)
    return clients, complaints


async def _run_phase(phase: Phase, site: Site, clients: list[Client]) -> list[str]:
    retries, began = site.balancer.retries(), time.monotonic()
    await asyncio.to_thread(phase.happen, site)
    tally = await tally_since(began, clients)
    retried = site.balancer.retries() - retries
    failures = ", ".join(f"{count} {what}" for what, count in sorted(tally.failures.items())) or "0"
    line = f"{phase.name:<42} {tally.calls:>6} {retried:>9} {tally.slowest:>8.2f} s {tally.gap:>8.2f} s   {failures}"
    print(line, flush=True)
    complaints = []
    if tally.failures and not phase.may_fail:
        complaints.append(f"{phase.name}: clients saw failures")
    if tally.gap > GAP_MAX:
        complaints.append(f"{phase.name}: no answer for {tally.gap:.0f} s")
    return complaints


def compare(clients: list[Client], database: Postgres) -> list[str]:
    """Compare the database with the acknowledged writes. Returns the differences."""
    acknowledged = Acknowledged()
    for client in clients:
        acknowledged.added |= client.acknowledged.added
        acknowledged.completed |= client.acknowledged.completed
    complaints = acknowledged.complaints(database.query("SELECT title, id, completed FROM tasks"))
    summary = "; ".join(complaints) or "every write is stored once"
    print(f"\n{len(acknowledged.added)} tasks added, {len(acknowledged.completed)} completed: {summary}.")
    return complaints


def main() -> int:
    try:
        complaints = run()
    except BaseException:
        print_logs()
        raise
    if complaints:
        print_logs()
    return 1 if complaints else 0


def run() -> list[str]:
    """Build, rehearse, and print the results. Returns a complaint for each failed check."""
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


def print_logs() -> None:
    """Print the end of each machine's log, without the successful calls."""
    for log in sorted(DISK.glob("*.log")):
        lines = [line for line in log.read_text().splitlines() if '"outcome": "success"' not in line]
        print(f"--- {log.name}", *lines[-20:], sep="\n", file=sys.stderr)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        # This is process 1 of its namespace: when it ends, every process ends.
        signal.signal(number, lambda number, frame: os._exit(128 + number))
    sys.exit(main())
