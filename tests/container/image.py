"""Builds the image of the Dockerfile with buildah, on a Debian that mmdebstrap makes, and mounts it.

The storage is a directory of its own, so no image of this machine is used or replaced. What this machine needs to reach
its package registries comes in by volumes. So none of it is in the Dockerfile.
"""

import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.server_process import ROOT

BASE = re.search(r"^FROM (debian:(\S+)-slim) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
NAME = "localhost/todo-mcp"
HOST = "/run/host"  # in the build: what comes from this machine
BUILD_SECONDS = 1200
# What the slim images of Debian leave out.
SLIM = ("man", "doc", "info", "locale", "groff", "lintian", "linda")
PIP_SETTINGS = ("cert", "index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "timeout")


@dataclass(frozen=True)
class Image:
    root: Path  # its files
    config: dict[str, Any]  # how to run it: Env, User, Entrypoint, Cmd, Healthcheck, Volumes
    megabytes: float  # all layers, uncompressed

    @property
    def environment(self) -> dict[str, str]:
        return dict(variable.split("=", 1) for variable in self.config["Env"])

    @property
    def packages(self) -> Path:
        (directory,) = self.root.glob("opt/todo-mcp/lib/python3*/site-packages")
        return directory


@contextmanager
def built(directory: Path) -> Iterator[Image]:
    """The image, built in this empty directory. It is mounted meanwhile."""

    def buildah(*arguments: str) -> str:
        storage = ["--root", f"{directory}/storage", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
        return run("buildah", *storage, *arguments)

    assert BASE, "the Dockerfile begins with a slim Debian"
    debian = directory / "debian.tar"
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in SLIM]
    run("mmdebstrap", "--quiet", "--variant=minbase", *excluded, BASE[2], str(debian), *mirror())
    base = buildah("from", "scratch")
    buildah("add", "--quiet", base, str(debian), "/")
    buildah("commit", "--quiet", "--rm", base, f"docker.io/library/{BASE[1]}")
    options = ["--isolation", "chroot", "--pull-never", "--format", "docker", *settings_of_pip(directory / "host")]
    buildah("build", "--quiet", *options, "--tag", NAME, str(ROOT))
    container = buildah("from", "--pull-never", NAME)
    config = json.loads(buildah("inspect", "--type", "image", NAME))["Docker"]["config"]
    size, unit = buildah("images", "--format", "{{.Size}}", NAME).split()
    assert unit == "MB"
    yield Image(Path(buildah("mount", container)), config, float(size))
    buildah("rm", "--all")


def mirror() -> list[str]:
    """The mirror of Debian that this machine uses; none for mmdebstrap's default."""
    listed = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages")
    return [line.removeprefix("Debian ") for line in listed.splitlines() if line.startswith("Debian http")][:1]


def settings_of_pip(host: Path) -> list[str]:
    """Volumes with the settings of pip on this machine, and with the certificates and directories that they name."""
    host.mkdir()
    volumes: list[str] = []
    settings = {"cert": ssl.get_default_verify_paths().cafile or ""}
    listed = run(sys.executable, "-m", "pip", "config", "list").splitlines()
    for line in sorted(listed, key=lambda line: line.startswith(":env:")):  # the environment overrides files
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = value.strip("'\"")
    lines = ["[global]"]
    for name in PIP_SETTINGS:
        value = settings.get(name, "")
        for path in map(Path, re.findall(r"(?<![:/\w])(?:file://)?(/[^\s/]\S*)", value)):
            if path.exists():  # its neighbours too: an index may name files beside it
                target = f"{HOST}/{len(volumes)}"
                volumes += ["--volume", f"{path.parent}:{target}:ro"]
                value = value.replace(str(path), f"{target}/{path.name}")
        lines += [f"{name} = {value}"] if value else []
    (host / "pip.conf").write_text("\n".join(lines) + "\n")
    return [*volumes, "--volume", f"{host}/pip.conf:/etc/pip.conf:ro"]


def run(*command: str) -> str:
    """Run a program, which must succeed. Returns its output."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert result.returncode == 0, (
        f"{command} ended with {result.returncode}: {(result.stdout + result.stderr)[-4000:]}"
    )
    return result.stdout.strip()
