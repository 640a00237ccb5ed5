"""The wheel: what it holds, and that it works where it is installed. It writes nothing beside its code.

`make wheel` installs the requirements into an empty environment. By default, the environment borrows those of the
tests, so that these tests need no package index.
"""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_string
from pathlib import Path

import platformdirs
import pytest
from packaging.requirements import Requirement

from tests.support.manage import Manage
from tests.support.processes import PATIENCE, scratch
from tests.support.server_process import ROOT
from todo_mcp import __version__

PACKAGES = ("todo_mcp", "tasks", "conversations")
OF_CHECKOUTS = "todo_mcp/management/commands/write_docs.py"
NAME = f"todo_mcp-{__version__}"
INSTALLS_ALL = os.environ.get("TODO_TEST_WHEEL") == "all"
UNREACHABLE = "error sending request|dns error|[Cc]onnect|timed out"

Start = Callable[..., Manage]


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment of its own, for a person whose directories have blanks in their names."""

    environment: Path
    home: Path
    directory: Path  # where the commands run; it belongs to another project

    @property
    def variables(self) -> dict[str, object]:
        names = {"XDG_DATA_HOME": self.home / "Application Support", "XDG_CONFIG_HOME": self.home / "My Settings"}
        return {"HOME": self.home, "TODO_DATA_DIR": "", "USER": "zoe", "LOGNAME": "zoe"} | names

    def files(self) -> dict[Path, int]:
        """Every file of the environment, with the time of its last change."""
        return {path: path.lstat().st_mtime_ns for path in self.environment.rglob("*")}


def build(source: Path, target: str, into: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    result = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """A directory with the wheel and the source distribution."""
    with scratch() as directory:
        build(ROOT, "sdist", directory)
        build(ROOT, "wheel", directory)
        yield directory


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return built / f"{NAME}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Iterator[Installed]:
    with scratch() as directory:
        environment = directory / "environment"
        uv(None, "venv", "--python", sys.executable, str(environment))
        if INSTALLS_ALL:
            uv(environment, "install", "--require-hashes", "--requirements", str(ROOT / "requirements.txt"))
        else:
            (borrowed,) = environment.glob("lib/python*/site-packages")
            (borrowed / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
        uv(environment, "install", "--no-deps", "--compile-bytecode", str(wheel))
        one = Installed(environment, directory / "home", directory / "other project")
        for path in (one.home, one.directory):
            path.mkdir()
        yield one


def uv(environment: Path | None, *arguments: str) -> None:
    """Run uv; with an environment, uv's pip in it."""
    words = [*(["pip"] if environment else []), *arguments]
    if environment:
        words += ["--python", str(environment / "bin/python")]
    result = subprocess.run([sys.executable, "-m", "uv", "--quiet", *words], capture_output=True, text=True)
    if result.returncode and not INSTALLS_ALL and re.search(UNREACHABLE, result.stderr):
        pytest.skip("uv cannot reach the package index")
    assert result.returncode == 0, result.stderr


@pytest.fixture
def start(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start ``todo-mcp`` with these arguments, in the directory of another project."""
    for name, value in installed.variables.items():
        monkeypatch.setenv(name, str(value))
    data_dir = platformdirs.user_data_path("todo-mcp")
    assert data_dir.is_relative_to(installed.home)
    program = installed.environment / "bin/todo-mcp"
    processes: list[Manage] = []

    def start(*arguments: str, **environment: object) -> Manage:
        processes.append(
            Manage(installed.directory, *arguments, data_dir=data_dir, program=program, TODO_DATA_DIR="", **environment)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.clean_up()


def contents(archive: Path, only: str = "") -> dict[str, bytes]:
    """The files of a wheel below this directory."""
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist() if name.startswith(only)}


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("git does not know these files")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    expected = {name for name in known if (ROOT / name).exists()} - {OF_CHECKOUTS}
    in_wheel = {name for name in contents(wheel) if not name.startswith(f"{NAME}.dist-info/")}
    assert in_wheel == expected
    assert {"todo_mcp/static/todo_mcp/icon.svg", "tasks/migrations/0006_search.sql"} < in_wheel


def test_the_source_distribution_builds_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    build(tmp_path / NAME, "wheel", tmp_path)
    assert contents(tmp_path / wheel.name) == contents(wheel)


def test_the_wheel_requires_what_requirements_in_names_and_cannot_be_uploaded(wheel: Path) -> None:
    metadata = message_from_string(contents(wheel)[f"{NAME}.dist-info/METADATA"].decode())
    lines = [line.partition(" #")[0] for line in (ROOT / "requirements.in").read_text().splitlines()]
    named = {str(Requirement(line)) for line in lines if line and not line.startswith("#")}
    assert {str(Requirement(value)) for value in metadata.get_all("Requires-Dist", [])} == named
    assert metadata["Version"] == __version__
    assert "Private :: Do Not Upload" in metadata.get_all("Classifier", [])


def test_the_printed_token_adds_a_task_which_a_restart_keeps(installed: Installed, start: Start) -> None:
    before = installed.files()
    server = start("run")
    token = server.line("Token: ")
    assert server.wait_ready().call("add_task", token, title="Buy milk")["status"] == "success"
    assert server.get("/admin/login/") == 200
    assert server.end() == 0
    again = start("run").wait_ready()
    assert again.line("Token: ") == token
    assert "Buy milk" in str(again.call("list_tasks", token))
    assert "To set a new password: todo-mcp changepassword zoe" in again.output()
    listed = start("list_tokens")
    assert listed.process.wait(PATIENCE) == 0
    assert "todo-mcp run" in listed.output()
    created = start("create_user", "sam")
    assert created.process.wait(PATIENCE) == 0
    assert created.output() == "Created user sam. Issue a token: todo-mcp issue_token --user sam\n"
    assert again.end() == 0
    served = start("serve").wait_ready()
    assert "Buy milk" in str(served.call("list_tasks", token))
    assert served.end() == 0
    assert installed.files() == before, "nothing is written beside the code"
    assert {path.name for path in installed.directory.iterdir() if not path.name.startswith("output-")} == set()
    assert (again.data_dir / "token").read_text().strip() == token


def test_settings_come_from_the_users_file_and_not_from_the_current_directory(
    installed: Installed, start: Start
) -> None:
    (installed.directory / ".env").write_text("LOG_LEVEL=of-another-project\n")
    settings = platformdirs.user_config_path("todo-mcp") / ".env"
    settings.parent.mkdir(parents=True)
    settings.write_text("LOG_LEVEL=mine\n")
    try:
        assert start("check").refusal().startswith("todo-mcp: LOG_LEVEL is 'mine'; set it to DEBUG or ")
    finally:
        settings.unlink()
        (installed.directory / ".env").unlink()


def test_a_removed_current_directory_matters_only_to_a_relative_data_directory(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in installed.variables.items():
        monkeypatch.setenv(name, str(value))
    program = installed.environment / "bin/todo-mcp"

    def check(data_dir: Path | str) -> "subprocess.CompletedProcess[str]":
        script = f'mkdir gone && cd gone && rmdir ../gone && TODO_DATA_DIR="{data_dir}" exec "{program}" check'
        return subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)

    assert (check(tmp_path).returncode, check("").returncode) == (0, 0)
    assert check("data").stderr == (
        "todo-mcp: TODO_DATA_DIR is 'data', and the current directory is removed; set it to an absolute path.\n"
    )


def test_the_help_begins_with_our_commands_and_the_version_is_ours(start: Start) -> None:
    shown = start("help")
    assert shown.process.wait(PATIENCE) == 0
    names = re.findall(r"^  (\w+)", shown.output(), re.MULTILINE)
    assert names[:3] == ["backup", "call", "create_user"]
    assert {"run", "serve", "changepassword"} < set(names)
    assert not {"startproject", "runserver", "write_docs"} & set(names)
    version = start("--version")
    assert version.process.wait(PATIENCE) == 0
    assert version.output() == f"{__version__}\n"
