"""Static files of the installed apps: names that change with the content, and content that is compressed once.

Django's finders find each file when it is first needed, so there is no ``collectstatic`` step to forget.
"""

import gzip
import mimetypes
import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from posixpath import dirname, join, normpath

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage

_HASHED = re.compile(r"(.+)\.([0-9a-f]{12})(\.[^./]+)")
_REFERENCE = re.compile(rb"""url\((["']?)([^"':)#?]+)(["']?)\)""")  # of another file, in a style sheet
_COMPRESSED = re.compile(r"(text|application)/(css|javascript|json|html|plain|xml)|image/svg\+xml")


@dataclass(frozen=True)
class StaticFile:
    """A static file. ``compressed`` is None if the file's format is compressed already, such as a font's."""

    content: bytes
    compressed: bytes | None
    media_type: str
    digest: str


class HashedNames(StaticFilesStorage):
    """The storage behind ``{% static %}``. An address contains a digest of the file, so it can be cached for ever."""

    def url(self, name: str | None) -> str:
        return super().url(hashed_name(name or ""))


def hashed_name(name: str) -> str:
    """``a/b.css`` as ``a/b.<digest>.css``. The name of a file that does not exist stays as it is."""
    try:
        file = read_static(name)
    except FileNotFoundError:
        return name
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}.{file.digest}{path.suffix}"))


def find_static(name: str) -> tuple[StaticFile, bool]:
    """The file with this name, hashed or not, and whether the name has the digest of this very content.

    A page of another release may name another content. Then it gets ours.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if hashed := _HASHED.fullmatch(name):
        try:
            file = read_static(hashed[1] + hashed[3])
        except FileNotFoundError:
            pass  # the file's own name looks like a hashed one
        else:
            return file, file.digest == hashed[2]
    return read_static(name), False


@cache
def read_static(name: str) -> StaticFile:
    """Cached, so that slow clients share one copy and hold no file open. All files together have 15 MB.

    Raises:
        FileNotFoundError: there is no such file. This is not cached, because callers can ask for any name.
        SuspiciousFileOperation: the name leaves the directories of static files.
    """
    path = finders.find(name)
    if not isinstance(path, str) or not Path(path).is_file():
        raise FileNotFoundError(name)
    content = Path(path).read_bytes()
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if media_type == "text/css":
        content = _with_hashed_references(content, dirname(name))
    compressed = gzip.compress(content, mtime=0) if _COMPRESSED.fullmatch(media_type) else None
    return StaticFile(content, compressed, media_type, sha256(content).hexdigest()[:12])


def _with_hashed_references(css: bytes, directory: str) -> bytes:
    """The style sheet with hashed names of the fonts and images beside it."""

    def hashed(reference: re.Match[bytes]) -> bytes:
        relative = reference[2].decode()
        name = PurePosixPath(hashed_name(normpath(join(directory, relative)))).name
        return b"url(%b%b%b)" % (
            reference[1],
            join(dirname(relative), name).encode(),
            reference[3],
        )

    return _REFERENCE.sub(hashed, css)
