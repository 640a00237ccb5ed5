"""The file of a backup: a tar with a manifest, the dump, the files of the data directory, and the checksums of all.

``tar -xf FILE && sha256sum -c SHA256SUMS`` checks it by hand.
"""

import hashlib
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError

MANIFEST = "manifest.json"
DUMP = "database.dump"
SUMS = "SHA256SUMS"
FORMAT = 1
CHUNK = 256 * 1024  # bytes


class Writer:
    """Writes members one after the other. No member is kept in memory or written twice."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 (close() ends it)
        self._sums: list[str] = []

    def add(self, name: str, content: bytes) -> None:
        self.stream(name, lambda write: write(content))

    def stream(self, name: str, produce: Callable[[Callable[[bytes], object]], object]) -> None:
        """Add what ``produce`` writes. Its size is known at the end, so the header comes last."""
        checksum = hashlib.sha256()

        def write(chunk: bytes) -> None:
            checksum.update(chunk)
            self._file.write(chunk)

        header = self._file.tell()
        self._file.write(bytes(tarfile.BLOCKSIZE))
        produce(write)
        end = self._file.tell()
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = end - header - tarfile.BLOCKSIZE, 0o600, int(time.time())
        self._file.write(bytes(-entry.size % tarfile.BLOCKSIZE))
        self._tar.offset = self._file.tell()
        self._file.seek(header)
        self._file.write(entry.tobuf(tarfile.GNU_FORMAT))
        self._file.seek(self._tar.offset)
        self._sums.append(f"{checksum.hexdigest()}  {name}\n")

    def close(self) -> None:
        self.add(SUMS, "".join(self._sums).encode())
        self._tar.close()


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that only its owner can read. It gets its name at the end, when it is complete and on the disk.

    Raises:
        CommandError: the file exists or cannot be written. Then nothing is left.
    """
    if os.path.lexists(path):
        raise CommandError(f"{path} exists. Choose another name; a backup replaces no file.")
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, path)
        temporary = ""
        _sync_directory(path.parent)
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror}). There is no backup.") from None
    finally:
        if temporary:
            os.unlink(temporary)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Reader:
    """A backup that is complete: every member has its checksum."""

    def __init__(self, path: Path, tar: tarfile.TarFile, manifest: dict[str, Any], names: list[str]) -> None:
        self._path, self._tar, self.manifest = path, tar, manifest
        self.files = [name for name in names if name not in (MANIFEST, DUMP, SUMS)]

    def open(self, name: str) -> IO[bytes]:
        member = self._tar.extractfile(name)
        assert member is not None
        return member


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """A backup, read and checked from its first to its last byte.

    Raises:
        CommandError: it is not a backup, is incomplete or damaged, or has a newer format.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            manifest, names = _checked(path, tar)
            yield Reader(path, tar, manifest, names)
    except OSError as error:
        if isinstance(error, tarfile.TarError) or error.filename is None:
            raise
        raise CommandError(f"{path} cannot be read ({error.strerror}). Nothing was changed.") from None
    except tarfile.TarError:
        raise _damaged(path) from None


def _checked(path: Path, tar: tarfile.TarFile) -> tuple[dict[str, Any], list[str]]:
    size = path.stat().st_size
    members = {member.name: member for member in tar.getmembers() if member.isreg()}
    if not {MANIFEST, DUMP, SUMS} <= members.keys() or size % tarfile.RECORDSIZE:
        raise _damaged(path)
    sums = _text(tar, SUMS)
    expected = {name: checksum for checksum, _, name in (line.partition("  ") for line in sums.splitlines())}
    if expected != {name: _sha256(tar, name) for name in members if name != SUMS}:
        raise _damaged(path)
    manifest: dict[str, Any] = json.loads(_text(tar, MANIFEST))
    if manifest["format"] > FORMAT:
        raise CommandError(
            f"{path} was made by todo-mcp {manifest['version']}, which is newer than this one. "
            "Install that version, then restore again. Nothing was changed."
        )
    return manifest, list(members)


def _text(tar: tarfile.TarFile, name: str) -> str:
    member = tar.extractfile(name)
    assert member is not None
    return member.read().decode(errors="replace")


def _sha256(tar: tarfile.TarFile, name: str) -> str:
    member = tar.extractfile(name)
    assert member is not None
    checksum = hashlib.sha256()
    while chunk := member.read(CHUNK):
        checksum.update(chunk)
    return checksum.hexdigest()


def _damaged(path: Path) -> CommandError:
    return CommandError(
        f"{path} is not a complete backup of todo-mcp: it is cut off, damaged, or another file. "
        "Copy it again, or use an older one. Nothing was changed."
    )


def as_json(manifest: dict[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1) + "\n").encode()
