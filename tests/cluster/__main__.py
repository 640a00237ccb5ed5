"""`make cluster`: several hosts on one machine. Some of them die while clients call (`rehearsal`).

It runs in its own namespaces for network, processes, mounts and shared memory, so the machine's network does not
change. If it is killed, all its processes end and nothing is left.

Exit codes: 0: every check passed. 1: a check failed. 77: it cannot run here; one sentence says why.
"""

import os
import shutil
import subprocess
import sys

from django.core.exceptions import ImproperlyConfigured

from todo_mcp.postgres.embedded.programs import find_programs

CANNOT_RUN = 77  # for automake and meson this is a skipped test
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
    """The reason why it cannot run here, in one sentence; "" if it can."""
    if sys.platform != "linux":
        return "make cluster needs the namespaces of Linux."
    if os.geteuid() != 0:
        return "make cluster needs root, for network namespaces and PostgreSQL's account; run it with sudo."
    if missing := sorted({package for program, package in PACKAGES.items() if not shutil.which(program)}):
        return f"make cluster needs programs that are not installed; on Debian: apt-get install {' '.join(missing)}."
    try:
        find_programs()
    except ImproperlyConfigured as reason:
        return str(reason)
    probe = subprocess.run([*ISOLATED, "sh", "-c", " && ".join(PROBES)], capture_output=True, text=True)
    if probe.returncode:
        errors = probe.stderr.strip().splitlines() or ["no reason given"]
        return f"make cluster cannot create network namespaces on this machine, as in most containers: {errors[-1]}."
    return ""


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian has haproxy, pgbouncer and ip
    if reason := obstacle():
        print(reason, file=sys.stderr)
        sys.exit(CANNOT_RUN)
    os.execvp(ISOLATED[0], [*ISOLATED, sys.executable, "-m", "tests.cluster.rehearsal", *sys.argv[1:]])
