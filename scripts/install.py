"""Create .venv and install the pinned requirements into it. `make` calls this before anything else.

A later run does nothing unless a requirements file changed or the environment's Python is missing. The script needs
only the standard library. On an old Python, it still starts and reports that it is too old.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
PYTHONS = ("3.11", "3.12", "3.13", "3.14")  # the versions to check if a wheel for this Python is missing
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / os.environ.get("TODO_VENV", ".venv")  # `make pythons` has one for each Python
PYTHON = VENV / "bin" / "python"
SDKS = "docs/examples/requirements-sdks.txt"
STAMP = VENV / "installed.txt"  # for each requirements file a line with its name and SHA-256 hash
UNFINISHED = VENV / "unfinished"  # exists while pip runs; if it remains, pip was interrupted and .venv is not usable

# Only wheels, no builds. Without a compiler, the user then sees which wheel is missing, not a failed build.
PIP = [str(PYTHON), "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "3"]
WHEELS = ["--no-deps", "--only-binary", ":all:"]

OFFLINE = "NewConnectionError|NameResolutionError|Max retries exceeded|Connection broken|ConnectTimeout|ReadTimeout"
OFFLINE += "|ProxyError|Connection refused|RemoteDisconnected"


class Failure(Exception):
    """An error with one sentence for the person who installs."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Install the pinned requirements into .venv.")
    parser.add_argument("--dev", action="store_true", help="also install the packages for tests and static checks")
    parser.add_argument("--examples", action="store_true", help="also install the SDKs that docs/examples use")
    options = parser.parse_args()
    names = ["requirements.txt"]
    names += ["requirements-dev.txt"] if options.dev else []
    names += [SDKS] if options.examples else []
    try:
        with open(__file__) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may run at the same time
            install(names)
    except Failure as failure:
        sys.exit(f"todo-mcp: {failure}")
    except OSError as error:
        sys.exit(f"todo-mcp: {VENV} cannot be created ({error}); check the disk and the owner of the directory.")
    except KeyboardInterrupt:
        sys.exit(130)


def install(names: list[str]) -> None:
    """Bring .venv up to date with these requirements files.

    Raises:
        Failure: the message says what is wrong and what to do.
    """
    if sys.version_info < OLDEST:
        raise Failure(
            f"{sys.executable} is Python {python_version()}; install 3.11 or newer, or name one: PYTHON=python3.14."
        )
    hashes = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in names}
    installed = read_stamp()
    missing = [name for name in names if installed.get(name) != hashes[name]]
    if not missing:
        return
    print(f"Installing the pinned requirements into {VENV.name} ...", file=sys.stderr, flush=True)
    if UNFINISHED.exists() or not is_usable():
        shutil.rmtree(VENV, ignore_errors=True)
        make_venv()
        installed, missing = {}, names
    UNFINISHED.touch()
    for name in missing:
        pip_install(name)
    STAMP.write_text("".join(f"{name} {digest}\n" for name, digest in {**installed, **hashes}.items()))
    UNFINISHED.unlink()


def read_stamp() -> dict[str, str]:
    """The installed requirements files and their hashes. Empty if .venv is not usable."""
    if UNFINISHED.exists() or not STAMP.exists() or not PYTHON.exists():
        return {}
    return dict(line.split() for line in STAMP.read_text().splitlines())


def is_usable() -> bool:
    """Whether .venv has a Python that runs, is new enough and has pip."""
    check = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    return PYTHON.exists() and run([str(PYTHON), "-c", check]).returncode == 0


def make_venv() -> None:
    if getattr(importlib.util.find_spec("ensurepip"), "origin", None) is None:
        raise Failure(f"{sys.executable} lacks venv; on Debian or Ubuntu: apt install python{python_version()}-venv.")
    result = run([sys.executable, "-m", "venv", str(VENV)])
    if result.returncode:
        raise Failure(f"{sys.executable} cannot create {VENV}: {last_line(result.stderr or result.stdout)}")


def pip_install(name: str) -> None:
    result = run([*PIP, "install", *WHEELS, "--require-hashes", "-r", str(ROOT / name)])
    if result.returncode:
        raise Failure(explain(result.stderr, name))


def explain(output: str, name: str) -> str:
    """Turn pip's error output into one sentence that says what to do."""
    mismatch = re.search(r"DO NOT MATCH THE HASHES.*?\n\s+(\S+)", output, re.DOTALL)
    if mismatch:
        return (
            f"the download of {mismatch[1]} does not match the hash in {name}; try again. If it happens again, "
            "trust neither your package index nor your proxy."
        )
    if "CERTIFICATE_VERIFY_FAILED" in output:
        return "the package index's certificate is not trusted here; set PIP_CERT to the CA file of your proxy."
    if re.search(OFFLINE, output):
        return "the package index cannot be reached; connect to the network, or set HTTPS_PROXY, then run this again."
    if "No space left on device" in output:
        return "the disk is full; free 500 MB, then run this again."
    missing = re.search(r"No matching distribution found for ([^\s;(]+)", output)
    return explain_missing_wheel(missing[1]) if missing else f"pip could not install {name}: {last_line(output)}"


def explain_missing_wheel(package: str) -> str:
    """Ask the package index which Pythons have a wheel of the package for this machine."""
    machine = f"{os.uname().sysname} on {os.uname().machine}"
    versions = [version for version in PYTHONS if has_wheel(package, version)]
    if not versions:
        return (
            f"{package} has no wheel for {machine}, and nothing is compiled here; use another machine or a container."
        )
    pythons = " or ".join(versions)
    python = f"Python {python_version()}, {machine}"
    return f"{package} has no wheel for {python}; use Python {pythons}: PYTHON=python{versions[-1]}."


def has_wheel(package: str, version: str) -> bool:
    options = ["--python-version", version, "--dest", str(VENV / "unused")]
    # Not `install --dry-run`, which only checks the Python that runs it.
    return run([*PIP, "download", *WHEELS, *options, package]).returncode == 0


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PIP_USER": "0"}  # pip's setting `user = true` fails in a virtual environment
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)  # noqa: S603 (our own commands)


def python_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it gave no reason"])[-1].replace("ERROR: ", "")


if __name__ == "__main__":
    main()
