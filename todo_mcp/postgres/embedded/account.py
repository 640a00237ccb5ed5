"""The account that PostgreSQL runs under: ours, or, because it refuses to run as root, an unprivileged one."""

import logging
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger(__name__)

STAND_INS = ("postgres", "nobody")  # for root; the first that the machine has


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    is_us: bool

    def process_options(self) -> dict[str, Any]:
        """What ``subprocess.run`` needs to run a program under this account."""
        return {} if self.is_us else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, directory: Path) -> None:
        """Give the account what root made, or copied: a directory and all in it."""
        if self.is_us or directory.stat().st_uid == self.uid:
            return
        for path in (directory, *directory.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def make_reachable(self, *paths: Path) -> None:
        """Let the account pass through the parent directories of these paths.

        Only where root starts PostgreSQL, and only where the way is barred: such a directory, which may lie outside
        the data directory (``/root``, say), becomes searchable for everybody (``chmod o+x``). Its entries cannot be
        listed then, but one whose name is known, and which is itself readable to all, can be opened. It is logged.
        """
        if self.is_us:
            return
        barred = [
            parent for parent in {parent for path in paths for parent in path.resolve().parents} if self._bars(parent)
        ]
        for directory in barred:
            directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_IXOTH)
        if barred:
            names = ", ".join(map(str, sorted(barred)))
            logger.warning("chmod o+x for %s: PostgreSQL, which does not run as root, must pass there", names)

    def _bars(self, directory: Path) -> bool:
        status = directory.stat()
        return status.st_uid != self.uid and not status.st_mode & stat.S_IXOTH

    def make_readable(self, directory: Path) -> None:
        """Let the account read what is in ``directory``, which pip made under a umask that forbids it."""
        if self.is_us or directory.stat().st_mode & stat.S_IXOTH:
            return
        for path in (directory, *directory.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | (mode & 0o500) >> 6)


def account_for(pgdata: Path) -> Account:
    """Who runs the PostgreSQL of this data directory.

    Raises:
        ImproperlyConfigured: the directory is another user's, or there is nobody to run it for root.
    """
    owner = pgdata.stat() if pgdata.exists() else None
    us = os.geteuid()
    if us != 0:
        if owner and owner.st_uid != us:
            raise ImproperlyConfigured(
                f"{pgdata} belongs to the user {_name(owner.st_uid)}. "
                "Run as that user, or set TODO_DATA_DIR to a directory of your own."
            )
        return Account(us, os.getegid(), is_us=True)
    if owner and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, is_us=False)
    return _stand_in()


def _stand_in() -> Account:
    for name in STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, is_us=False)
    raise ImproperlyConfigured(
        "PostgreSQL does not run as root, and there is no account nobody to run it under. "
        "Run as another user, or set DATABASE_URL to a PostgreSQL that runs already."
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
