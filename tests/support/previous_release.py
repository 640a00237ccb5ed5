"""The release before this one, from the repository's history."""

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE
from tests.support.server_process import CAST, ROOT, Database, manage_command

# While no release has a tag: the last commit before the migrations of this release.
UNTAGGED = "593238d024a68440da79336e059bf52f4d4c1c69"


def _git(*arguments: str, root: Path) -> bytes:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True).stdout


def is_repository(root: Path = ROOT) -> bool:
    """Whether the directory is a checkout. A tar ball is none, even if it lies inside of another repository."""
    try:
        return Path(_git("rev-parse", "--show-toplevel", root=root).decode().strip()) == root.resolve()
    except (OSError, subprocess.CalledProcessError):
        return False


def name(root: Path = ROOT) -> str:
    """The newest tag of a release that is an ancestor of this commit, or ``UNTAGGED``."""
    tags = _git("tag", "--list", "v[0-9]*", "--merged", "HEAD", "--no-contains", "HEAD", "--sort=-v:refname", root=root)
    return next(iter(tags.decode().split()), UNTAGGED)


def check_out(directory: Path, root: Path = ROOT) -> Path:
    """Its files, without its history. The test is skipped if the history does not have it."""
    if not is_repository(root):
        pytest.skip(f"{root} is no git repository, or git is missing; a clone has the release before")
    release = name(root)
    try:
        content = _git("archive", "--format=tar", release, root=root)
    except subprocess.CalledProcessError:
        pytest.skip(f"the history lacks the release before, {release}: run `git fetch --unshallow --tags`")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(directory, filter="data")
    return directory


class OldDatabase(Database):
    """A database that the release before, in this checkout, migrates and fills with users."""

    def __init__(self, directory: Path, checkout: Path) -> None:
        self._checkout = checkout
        super().__init__(directory)

    def _make_users(self, count: int = 2) -> None:
        command = manage_command("shell", "--no-imports", "-c", CAST.format(first=0, count=count), root=self._checkout)
        result = subprocess.run(
            command, cwd=self._checkout, env=self.environment(), capture_output=True, text=True, timeout=PATIENCE
        )
        assert result.returncode == 0, result.stderr
        cast = json.loads(result.stdout)
        self._users, self.service_token = iter(cast["users"].items()), cast["service"]
