import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.container.image import Image, built
from tests.container.running import Container
from tests.support.processes import scratch

TOOLS = ("buildah", "mmdebstrap", "unshare", "nsenter")
MISSING = [name for name in TOOLS if shutil.which(name) is None] + (["root"] if os.geteuid() else [])
Start = Callable[..., Container]


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    if MISSING:
        pytest.skip(f"building the image needs {' and '.join(MISSING)} (Debian: apt-get install buildah mmdebstrap)")
    with scratch() as directory, built(directory) as image:
        yield image


@pytest.fixture
def volume() -> Iterator[Path]:
    """An empty volume with the owner and mode that the image gives to /data, as docker makes it."""
    with scratch() as directory:
        yield make_volume(directory, "data")


def make_volume(directory: Path, name: str) -> Path:
    volume = directory / name
    volume.mkdir()
    volume.chmod(0o775)
    os.chown(volume, 1000, 0)
    return volume


@pytest.fixture
def start(image: Image) -> Iterator[Start]:
    """Starts a container with a volume and arguments. All are killed at the end."""
    containers: list[Container] = []

    def start(data: Path, *arguments: str, **options: Any) -> Container:
        containers.append(Container(image, data, *arguments, **options))
        return containers[-1]

    yield start
    for container in containers:
        container.kill()
