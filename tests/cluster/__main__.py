"""`make cluster`: several hosts on one machine, some of which die under the calls of clients (`rehearsal`).

It runs in namespaces of its own for network, processes, mounts and shared memory: the machine's network stays as it is,
and even if it is killed nothing of it goes on or is left.

Exit codes: 0 all held; 1 something did not; 77 it cannot run here, and one sentence says why.
"""

import os
import shutil
import subprocess
import sys

from django.core.exceptions import ImproperlyConfigured

from todo_mcp.postgres.embedded.cluster import find_programs

CANNOT_RUN = 77  # what automake and meson take for a test that was skipped
PACKAGES = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "haproxy": "haproxy",
    "pgbouncer": "pgbouncer",
}
ISOLATED = ["unshare", "--net", "--pid", "--ipc", "--mount", "--fork", "--kill-child", "--mount-proc"]

PROBES = (
    "mount -t tmpfs none /run",
    "ip netns add host",
    "ip link add lan type bridge",
    "ip link add cable type veth peer netns host",
)


def obstacle() -> str:
    """Why it cannot run here, in one sentence; "" if it can."""
    if sys.platform != "linux":
        return "make cluster needs the namespaces of Linux."
    if os.geteuid() != 0:
        return "make cluster needs root, for network namespaces and PostgreSQL's account; run it with sudo."
    if missing := sorted({package for program, package in PACKAGES.items() if not shutil.which(program)}):
        return f"make cluster needs what is not installed here; on Debian: apt-get install {' '.join(missing)}."
    try:
        find_programs()
    except ImproperlyConfigured as reason:
        return str(reason)
    tried = subprocess.run([*ISOLATED, "sh", "-c", " && ".join(PROBES)], capture_output=True, text=True)
    if tried.returncode:
        said = tried.stderr.strip().splitlines() or ["no reason given"]
        return f"make cluster cannot make network namespaces on this machine, as in most containers: {said[-1]}."
    return ""


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian has haproxy, pgbouncer and ip
    if reason := obstacle():
        print(reason, file=sys.stderr)
        sys.exit(CANNOT_RUN)
    os.execvp(ISOLATED[0], [*ISOLATED, sys.executable, "-m", "tests.cluster.rehearsal", *sys.argv[1:]])
