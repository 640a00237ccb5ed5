"""A network of hosts in this machine: a bridge, and a network namespace with one cable for each host.

It is made in the namespaces that `python -m tests.cluster` starts this process in, and ends with them.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from todo_mcp.postgres.embedded.account import Account

OURS = "10.0.0.1"  # where the clients are
DISK = Path("/run/disk")  # of all hosts; in memory, for another program's use of ours may look like the death of a host


def make_lan(names: Mapping[str, str]) -> None:
    """The bridge that the hosts are plugged into, with us on it; /etc/hosts gives these names to addresses.

    /run, /dev/shm and the directories of configurations become empty ones of our own, in memory.
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
    """A machine of the network, on which programs can be started, and which can die."""

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
        """A program on this host, as root or under an account; what it says goes to the end of the host's log."""
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command(command, account), env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def command(self, command: Sequence[str], account: Account | None = None) -> list[str]:
        """What to run, so that the command runs on this host."""
        entered = ["nsenter", f"--net=/run/netns/{self.name}"]
        if account and not account.is_current_user:
            entered += [f"--setuid={account.uid}", f"--setgid={account.gid}"]
        return [*entered, "--", *command]

    def plug(self) -> None:
        _run("ip", "link", "set", self._cable, "up")

    def unplug(self) -> None:
        """From now on nothing reaches the host or leaves it, and nobody is told."""
        _run("ip", "link", "set", self._cable, "down")

    def kill(self) -> None:
        """``kill -9`` of everything on the host."""
        while found := _run("ip", "netns", "pids", self.name).split():
            for process in found:
                try:
                    os.kill(int(process), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.01)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
