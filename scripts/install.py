"""Make .venv and install the pinned requirements into it; `make` calls this before anything else.

Run again, it does nothing until a requirements file changes or the environment's Python is gone. It uses the standard
library alone, and is written so that an old Python gets as far as being told that it is too old.
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
PYTHONS = ("3.11", "3.12", "3.13", "3.14")  # where a wheel is looked for if this Python has none
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.txt"  # a line for each requirements file: its name and the hash of what it held
UNFINISHED = VENV / "unfinished"  # there while pip works: what an interrupted one leaves is not to be trusted

# Nothing is compiled: who lacks a compiler or headers is told which wheel is missing, not shown a failed build.
PIP = [str(PYTHON), "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "3"]
WHEELS = ["--no-deps", "--only-binary", ":all:"]

OFFLINE = "NewConnectionError|NameResolutionError|Max retries exceeded|Connection broken|ConnectTimeout|ReadTimeout"
OFFLINE += "|ProxyError|Connection refused|RemoteDisconnected"


class Failure(Exception):
    """One sentence for the person who installs."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Install the pinned requirements into .venv.")
    parser.add_argument("--dev", action="store_true", help="also what the tests and the static checks need")
    names = ["requirements.txt", "requirements-dev.txt"] if parser.parse_args().dev else ["requirements.txt"]
    try:
        with open(__file__) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may begin together
            install(names)
    except Failure as failure:
        sys.exit(f"todo-mcp: {failure}")
    except OSError as error:
        sys.exit(f"todo-mcp: {VENV} cannot be made ({error}); check the disk and who owns the directory.")
    except KeyboardInterrupt:
        sys.exit(130)


def install(names: list[str]) -> None:
    """Bring .venv up to date with these requirements files.

    Raises:
        Failure: what is in the way, and what to do.
    """
    if sys.version_info < OLDEST:
        raise Failure(f"{sys.executable} is Python {here()}; install 3.11 or newer, or name one: PYTHON=python3.12.")
    wanted = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in names}
    installed = read_stamp()
    missing = [name for name in names if installed.get(name) != wanted[name]]
    if not missing:
        return
    print("Installing the pinned requirements into .venv ...", file=sys.stderr, flush=True)
    if UNFINISHED.exists() or not is_usable():
        shutil.rmtree(VENV, ignore_errors=True)
        make_venv()
        installed, missing = {}, names
    UNFINISHED.touch()
    for name in missing:
        pip_install(name)
    STAMP.write_text("".join(f"{name} {held}\n" for name, held in {**installed, **wanted}.items()))
    UNFINISHED.unlink()


def read_stamp() -> dict[str, str]:
    """What is installed; nothing where the environment's Python is gone."""
    if UNFINISHED.exists() or not STAMP.exists() or not PYTHON.exists():
        return {}
    return dict(line.split() for line in STAMP.read_text().splitlines())


def is_usable() -> bool:
    """Whether .venv holds a Python that runs, is new enough and has pip."""
    check = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    return PYTHON.exists() and run([str(PYTHON), "-c", check]).returncode == 0


def make_venv() -> None:
    if getattr(importlib.util.find_spec("ensurepip"), "origin", None) is None:
        raise Failure(f"{sys.executable} lacks venv; on Debian or Ubuntu: apt install python{here()}-venv.")
    done = run([sys.executable, "-m", "venv", str(VENV)])
    if done.returncode:
        raise Failure(f"{sys.executable} cannot make {VENV}: {last_line(done.stderr or done.stdout)}")


def pip_install(name: str) -> None:
    done = run([*PIP, "install", *WHEELS, "--require-hashes", "-r", str(ROOT / name)])
    if done.returncode:
        raise Failure(explain(done.stderr, name))


def explain(said: str, name: str) -> str:
    """What pip's error output means, in a sentence that says what to do."""
    mismatch = re.search(r"DO NOT MATCH THE HASHES.*?\n\s+(\S+)", said, re.DOTALL)
    if mismatch:
        return (
            f"the download of {mismatch[1]} is not the file whose hash {name} pins; try again, and if it stays so, "
            "trust neither your package index nor your proxy."
        )
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return (
            "the package index's certificate is not trusted here; set PIP_CERT to the file of your proxy's authority."
        )
    if re.search(OFFLINE, said):
        return "the package index cannot be reached; connect to the network, or set HTTPS_PROXY, then run this again."
    if "No space left on device" in said:
        return "the disk is full; free 500 MB, then run this again."
    missing = re.search(r"No matching distribution found for ([^\s;(]+)", said)
    return explain_missing_wheel(missing[1]) if missing else f"pip could not install {name}: {last_line(said)}"


def explain_missing_wheel(package: str) -> str:
    """Which Pythons have a wheel of the package on this machine: the index is asked for each."""
    machine = f"{os.uname().sysname} on {os.uname().machine}"
    found = [version for version in PYTHONS if has_wheel(package, version)]
    if not found:
        return (
            f"{package} has no wheel for {machine}, and nothing is compiled here; use another machine or a container."
        )
    pythons = " or ".join(found)
    return f"{package} has no wheel for Python {here()}, {machine}; use Python {pythons}: PYTHON=python{found[-1]}."


def has_wheel(package: str, version: str) -> bool:
    where = ["--python-version", version, "--dest", str(VENV / "unused")]
    return run([*PIP, "download", *WHEELS, *where, package]).returncode == 0  # a dry run of install asks this Python


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PIP_USER": "0"}  # a configured `user = true` would fail in a virtual environment
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)  # noqa: S603 (ours)


def here() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it gave no reason"])[-1].replace("ERROR: ", "")


if __name__ == "__main__":
    main()
