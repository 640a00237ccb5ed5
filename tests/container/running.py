"""Runs the image: PID 1 of its own process namespace, a read-only root, and nothing to write to but /data and /tmp.

This is `docker run --read-only --tmpfs /tmp --network host --volume DATA:/data`, with the tools of util-linux.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

from tests.container.image import Image
from tests.support.processes import PATIENCE, eventually, free_port
from tests.support.server_process import wait_until_ready

ISOLATE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
# $1: the root, $2: the data, $3 and $4: user and group; then the command.
MOUNTS = """
mount --bind "$1" "$1"
mount --bind "$2" "$1/data"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -o remount,bind,ro "$1"
root=$1 user=$3
shift 3
exec chroot --userspec="$user" --groups= "$root" "$@"
"""


class Container:
    """A container of the image. Without arguments, it runs the command of the image."""

    def __init__(
        self, image: Image, data: Path, *arguments: str, user: str = "", entry: Sequence[str] = (), **settings: object
    ) -> None:
        self.port = free_port()
        self._image = image
        self._user = user or image.config["User"]
        self._output = data.with_name(f"{data.name}-{self.port}.log")
        variables = {**image.environment, "HOME": "/data", "MCP_SERVER_PORT": self.port} | settings
        assignments = (f"{name}={value}" for name, value in variables.items())
        self._environment = ["env", "-i", f"--chdir={image.config['WorkingDir']}", *assignments]
        words = [*(entry or image.config["Entrypoint"]), *(arguments or image.config["Cmd"])]
        isolated = [*ISOLATE, "sh", "-euc", MOUNTS, "sh", str(image.root), str(data), self._user]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*isolated, *self._environment, *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def output(self) -> str:
        return self._output.read_text()

    def ready(self) -> "Container":
        wait_until_ready(self.process, f"http://127.0.0.1:{self.port}/readyz", self.output)
        return self

    def token(self) -> str:
        """The token that the server printed at its start."""
        found = re.search(r"^Token: (\S+)$", self.output(), re.MULTILINE)
        assert found, self.output()
        return found[1]

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        url = f"http://localhost:{self.port}/api/tools/{tool}"
        headers = {"Authorization": f"Bearer {self.token()}"}
        answer = httpx2.post(url, headers=headers, content=json.dumps(arguments), timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def titles(self) -> list[str]:
        return [task["title"] for task in self.call("list_tasks", sort="newest")["tasks"]]

    def execute(self, *command: str) -> str:
        """Run a command in the container. It must succeed. Returns its output."""
        result = self.run(*command)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the container, as `docker exec` does."""
        uid, _, gid = self._user.partition(":")
        inside = [
            "nsenter",
            f"--target={self._pid()}",
            "--mount",
            "--pid",
            "--root",
            f"--setuid={uid}",
            f"--setgid={gid}",
        ]
        return subprocess.run([*inside, *self._environment, *command], capture_output=True, text=True, timeout=PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._pid(), number)

    def wait(self) -> int:
        """Wait until the container ends. Returns its exit code, or minus the number of the signal."""
        return self.process.wait(PATIENCE)

    def stop(self) -> None:
        """As `docker stop`: SIGTERM, and the exit code must be 0 after 10 s at most."""
        self.signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self.output()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)

    def _pid(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        (pid,) = eventually(lambda: children.read_text().split(), "the first process of the container")
        eventually(lambda: os.readlink(f"/proc/{pid}/root") != "/", "its root")
        return int(pid)
