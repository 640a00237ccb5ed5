"""The setup of `make run` and `todo-mcp run`. Later runs reuse the secret key and the token in the data directory."""

import contextlib
import getpass
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.configuration.distribution import IS_CHECKOUT, command, data_directory
from todo_mcp.core.errors import UserNotFound
from todo_mcp.postgres import wall
from todo_mcp.process import startup
from todo_mcp.process.client_lines import client_lines
from todo_mcp.process.commands import database_errors, escaped
from todo_mcp.users.services import create_user

TOKEN_NAME = "make run" if IS_CHECKOUT else command("run")  # the token's name in lists
DATA_FILES = ("secret_key", "token")  # in the data directory; a backup has them too
FALLBACK_USER = "alice"  # if the operating system's user name is not usable


@dataclass(frozen=True)
class Access:
    """The credentials of the person at this machine. ``password`` is set only if this run created the user."""

    user_id: str
    token: str
    password: str | None


def reuse_secret_key() -> None:
    """If SECRET_KEY is not set, reuse the last run's key, so that admin sessions survive a restart."""
    if settings.SECRET_KEY.startswith("development-"):
        settings.SECRET_KEY = _read_data_file("secret_key") or write_data_file("secret_key", settings.SECRET_KEY)


def migrate() -> int:
    """Apply the missing migrations, and let the database keep users apart. Returns the number of migrations."""
    with database_errors():
        missing = startup.unapplied_migrations()
        if missing:
            call_command("migrate", verbosity=0, interactive=False)
        elif wall.problem():  # such as after a restore that was killed before its last step
            wall.raise_wall()
    return len(missing)


def ensure_access() -> Access:
    """Return the stored token and its user.

    If there is no valid token, issue one; if there is no user yet, create a superuser first.
    """
    with database_errors():
        stored = _read_data_file("token")
        record = find_token(stored) if stored else None
        if record is not None and record.user_id is not None:
            return Access(record.user_id, stored, password=None)
        user_id, password = _login_name(), None
        try:
            token = issue_token(user_id=user_id, name=TOKEN_NAME)
        except UserNotFound:
            password = secrets.token_urlsafe(12)
            create_user(user_id=user_id, password=password, is_superuser=True)
            token = issue_token(user_id=user_id, name=TOKEN_NAME)
        if find_token(token) is None:
            raise CommandError(f"The user {user_id} is deactivated. Activate it, or run with another USER.")
    return Access(user_id, write_data_file("token", token), password)


def instructions(access: Access) -> str:
    """The text that `make run` prints: addresses, token, and lines to paste into clients."""
    url = settings.PUBLIC_URL
    user_id = escaped(access.user_id)
    sign_in = user_id if access.password is None else f"{user_id} / {access.password}"
    lines = [f"MCP: {url}/mcp", f"Token: {access.token}", f"Admin: {url}/admin/ ({sign_in})"]
    if access.password is None:
        lines += [f"  To set a new password: {command(f'changepassword {user_id}', to_paste=True)}"]
    lines += [""]
    for client in client_lines(access.token):
        lines += [f"{client.label}:", f"  {client.text}"]
    return "\n".join([*lines, ""])


def _login_name() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        name = ""
    name = re.sub(r"[^A-Za-z0-9._-]+", "", name)
    return FALLBACK_USER if name in ("", "me") else name


def _read_data_file(name: str) -> str:
    """The text of a file in the data directory, or "" if there is none."""
    with _data_dir_errors():
        try:
            return (settings.TODO_DATA_DIR / name).read_text().strip()
        except FileNotFoundError:
            return ""


def write_data_file(name: str, text: str) -> str:
    """Write a file that only its owner can read. The write is atomic. Returns the text."""
    directory: Path = settings.TODO_DATA_DIR
    with _data_dir_errors():
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)  # the mode that the embedded PostgreSQL needs
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f"{name}.")  # mkstemp sets mode 0600
        with open(descriptor, "w") as file:
            file.write(text + "\n")
        os.replace(temporary, directory / name)
    return text


@contextlib.contextmanager
def _data_dir_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"TODO_DATA_DIR is {str(settings.TODO_DATA_DIR)!r}, which cannot be used ({error}); "
            f"set it to a directory that you may write to, like {data_directory()}."
        ) from None
