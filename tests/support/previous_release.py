"""The release before this one, from the repository's history."""

import io
import subprocess
import tarfile
from pathlib import Path

from tests.support.server_process import ROOT

# While no release has a tag: the last commit before the migrations of this release.
UNTAGGED = "cb51eb0fe7e1bd5b224133d5af370ed8f24f6785"


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def name() -> str:
    """The newest tag of a release that is an ancestor of this commit, or ``UNTAGGED``."""
    tags = _git("tag", "--list", "v[0-9]*", "--merged", "HEAD", "--no-contains", "HEAD", "--sort=-v:refname")
    return next(iter(tags.decode().split()), UNTAGGED)


def check_out(directory: Path) -> Path:
    """Its files, without its history."""
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", name()))) as tar:
        tar.extractall(directory, filter="data")
    return directory
