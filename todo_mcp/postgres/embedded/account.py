"""The account that runs PostgreSQL: the current one or, because PostgreSQL refuses root, an unprivileged one."""

import logging
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger(__name__)

UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")  # used instead of root; the first that exists


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    is_current_user: bool

    def process_options(self) -> dict[str, Any]:
        """The arguments with which ``subprocess.run`` runs a program under this account."""
        return {} if self.is_current_user else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def chown(self, directory: Path) -> None:
        """Make the account the owner of a directory, which root created or copied, and of everything in it."""
        if self.is_current_user or directory.stat().st_uid == self.uid:
            return
        for path in (directory, *directory.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def make_reachable(self, *paths: Path) -> None:
        """Let the account pass through the parent directories of these paths.

        This does something only when root starts PostgreSQL. Each parent directory that the account cannot enter
        gets ``chmod o+x``, and a warning is logged. It may be outside the data directory, such as ``/root``. Other
        users still cannot list it. They can open an entry if they know its name and it is readable for everyone.
        """
        if self.is_current_user:
            return
        parents = {parent for path in paths for parent in path.resolve().parents}
        closed = [parent for parent in parents if self._cannot_enter(parent)]
        for directory in closed:
            directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_IXOTH)
        if closed:
            names = ", ".join(map(str, sorted(closed)))
            logger.warning("chmod o+x for %s: PostgreSQL does not run as root and must pass through", names)

    def _cannot_enter(self, directory: Path) -> bool:
        status = directory.stat()
        return status.st_uid != self.uid and not status.st_mode & stat.S_IXOTH

    def make_readable(self, directory: Path) -> None:
        """Let the account read everything in ``directory``. pip may have created it under a restrictive umask."""
        if self.is_current_user or directory.stat().st_mode & stat.S_IXOTH:
            return
        for path in (directory, *directory.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | (mode & 0o500) >> 6)


def account_for(pgdata: Path) -> Account:
    """The account that runs the PostgreSQL of this data directory.

    Raises:
        ImproperlyConfigured: another user owns the directory, or root has no unprivileged account to use.
    """
    owner = pgdata.stat() if pgdata.exists() else None
    uid = os.geteuid()
    if uid != 0:
        if owner and owner.st_uid != uid:
            raise ImproperlyConfigured(
                f"{pgdata} belongs to the user {_name(owner.st_uid)}. "
                "Run as that user, or set TODO_DATA_DIR to a directory of your own."
            )
        return Account(uid, os.getegid(), is_current_user=True)
    if owner and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, is_current_user=False)
    return _unprivileged_account()


def _unprivileged_account() -> Account:
    for name in UNPRIVILEGED_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, is_current_user=False)
    raise ImproperlyConfigured(
        "PostgreSQL does not run as root, and this machine has no account named postgres or nobody. "
        "Run as another user, or set DATABASE_URL to a running PostgreSQL."
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
