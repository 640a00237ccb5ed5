"""A network of hosts in this machine: a bridge, and for each host a network namespace with one cable.

`python -m tests.cluster` starts this process in new namespaces. The network is part of them and ends with them.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from todo_mcp.postgres.embedded.account import Account

OURS = "10.0.0.1"  # the address of the clients
# The disk of all hosts. It is in memory: load on a real disk by another program could look like a dead host.
DISK = Path("/run/disk")


def make_lan(names: Mapping[str, str]) -> None:
    """Create the bridge that connects the hosts with this process. /etc/hosts maps these names to addresses.

    /run, /dev/shm and the configuration directories become new, empty directories in memory.
    """
    for directory in ("/run", "/dev/shm", "/etc/haproxy", "/etc/pgbouncer"):
        _run("mount", "-t", "tmpfs", "-o", "mode=0755", "none", directory)
    DISK.mkdir()
    hosts = Path("/run/hosts")
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in names.items()))
    _run("mount", "--bind", str(hosts), "/etc/hosts")
    _run("ip", "link", "add", "lan", "type", "bridge")
    _run("ip", "address", "add", f"{OURS}/24", "dev", "lan")
    _run("ip", "link", "set", "lan", "up")


class Host:
    """A machine of the network. It can run programs, and it can die."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.log = DISK / f"{name}.log"
        self._cable = f"to-{name}"
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", self._cable, "master", "lan", "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _run("ip", "-n", name, "link", "set", device, "up")
        self.plug()

    def start(
        self,
        command: Sequence[str],
        *,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start a program on this host, as root or under an account. Its output is appended to the host's log."""
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command(command, account), env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def command(self, command: Sequence[str], account: Account | None = None) -> list[str]:
        """The command line that runs this command on this host."""
        prefix = ["nsenter", f"--net=/run/netns/{self.name}"]
        if account and not account.is_current_user:
            prefix += [f"--setuid={account.uid}", f"--setgid={account.gid}"]
        return [*prefix, "--", *command]

    def plug(self) -> None:
        _run("ip", "link", "set", self._cable, "up")

    def unplug(self) -> None:
        """From now on no packet reaches the host or leaves it, and no connection is closed."""
        _run("ip", "link", "set", self._cable, "down")

    def kill(self) -> None:
        """Kill every process on the host with ``kill -9``."""
        while pids := _run("ip", "netns", "pids", self.name).split():
            for pid in pids:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.01)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
