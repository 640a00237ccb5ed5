"""Which Python `make` takes from the PATH, and what it says if there is none that is new enough."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.server_process import ROOT

WORKS = f'exec {sys.executable} "$@"'
OLD = "exit 1"  # what the question for the version gives
WITHOUT_VENV = f'case "$2" in *ensurepip*) exit 1;; *) {WORKS};; esac'  # as of Debian without python3-venv
SHIM = "exit 127"  # of pyenv, for a version that is installed and not selected

MAKE = shutil.which("make") or ""

pytestmark = pytest.mark.skipif(not MAKE, reason="make is not installed")


def chosen(directory: Path, pythons: Mapping[str, str]) -> str:
    """The output of `make --dry-run install` with only these Pythons in the PATH."""
    for name, body in pythons.items():
        program = directory / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    environment = {"PATH": str(directory), "HOME": os.environ.get("HOME", "/")}
    result = subprocess.run(
        [MAKE, "--dry-run", "install"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout


@pytest.mark.parametrize(
    ("pythons", "expected"),
    [
        ({"python3.14": WORKS, "python3": OLD}, "python3.14"),
        ({"python3.12": WORKS, "python3.13": WORKS, "python3": WORKS}, "python3.13"),
        ({"python3.14": SHIM, "python3.13": SHIM, "python3": WORKS}, "python3"),
        ({"python3.14": WITHOUT_VENV, "python3.11": WORKS}, "python3.11"),
        ({"python3.14": WITHOUT_VENV, "python3": OLD}, "python3.14"),
    ],
    ids=["old python3", "newest", "shims", "another has venv", "none has venv"],
)
def test_make_takes_the_newest_python_that_works(tmp_path: Path, pythons: dict[str, str], expected: str) -> None:
    assert f'"{expected}" scripts/install.py --dev' in chosen(tmp_path, pythons)


def test_make_says_what_to_install_if_every_python_is_old(tmp_path: Path) -> None:
    assert "'todo-mcp: Python 3.11 or newer was not found;'" in chosen(tmp_path, {"python3": OLD})


def test_the_targets_name_the_pythons_that_were_not_found(tmp_path: Path) -> None:
    (tmp_path / "make").symlink_to(MAKE)  # make calls itself
    result = subprocess.run(
        ["make", "pythons"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert result.stdout == "Passed: none. Failed: none. Not found: 3.14 3.13 3.12 3.11.\n"
    assert result.returncode == 2
