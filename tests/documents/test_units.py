"""The units of docs/examples are valid, and have few rights. systemd itself does not run here."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server_process import ROOT

EXPOSURE_MAX = 3.0  # of 10, as `systemd-analyze security` counts
EXAMPLES = ROOT / "docs/examples"
PROGRAM = shutil.which("systemd-analyze")

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="systemd-analyze is not installed: apt-get install systemd")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with the Python of the tests in place of that of the checkout, which does not exist here."""
    for path in EXAMPLES.glob("todo-mcp*"):
        text = path.read_text().replace("/srv/todo-mcp/.venv/bin/python", sys.executable)
        (tmp_path / path.name).write_text(text)
    return tmp_path


def analyze(*arguments: str, directory: Path) -> str:
    result = subprocess.run([str(PROGRAM), *arguments], cwd=directory, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    names = sorted(path.name for path in units.iterdir())
    assert names == ["todo-mcp-daily.service", "todo-mcp-daily.timer", "todo-mcp.service"]
    analyze("verify", "--man=no", *(f"./{name}" for name in names), directory=units)


@pytest.mark.parametrize("unit", ["todo-mcp.service", "todo-mcp-daily.service"])
def test_the_exposure_is_small(units: Path, unit: str) -> None:
    report = analyze("security", "--no-pager", "--offline=true", f"./{unit}", directory=units)
    exposure = re.search(rf"Overall exposure level for {re.escape(unit)}: ([0-9.]+)", report)
    assert exposure and float(exposure[1]) <= EXPOSURE_MAX, report
