"""What `make run` keeps in the data directory so that a second run is like the first: a secret key and a token."""

import contextlib
import getpass
import json
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
from django.db import connection

from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.core.errors import UserNotFound
from todo_mcp.process import startup
from todo_mcp.process.commands import escaped
from todo_mcp.users.services import create_user

TOKEN_NAME = "make run"  # noqa: S105 (what the token is called in lists)
PREPARING = 708633  # an advisory lock of ours; the number means nothing
SPARE_USER = "alice"  # where the operating system's user has no name that we can use


@dataclass(frozen=True)
class Access:
    """How the person at this machine gets in. The password is known only when the user was made just now."""

    user_id: str
    token: str
    password: str | None


def keep_secret_key() -> None:
    """Where no SECRET_KEY is set, use the one of the last run, so that sessions in the admin outlive a restart."""
    if settings.SECRET_KEY.startswith("development-"):
        settings.SECRET_KEY = _kept("secret_key") or _keep("secret_key", settings.SECRET_KEY)


def take_turns() -> None:
    """Wait for another process that prepares the same database, and let the next wait, until the connection closes."""
    with startup.database_errors(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [PREPARING])


def migrate() -> int:
    """Apply the migrations that are not; how many there were."""
    with startup.database_errors():
        missing = startup.unapplied_migrations()
        if missing:
            call_command("migrate", verbosity=0, interactive=False)
    return len(missing)


def ensure_access() -> Access:
    """The kept token and its user; or a new token, where need be for a new operator."""
    with startup.database_errors():
        kept = _kept("token")
        record = find_token(kept) if kept else None
        if record is not None and record.user_id is not None:
            return Access(record.user_id, kept, password=None)
        user_id, password = _own_name(), None
        try:
            token = issue_token(user_id=user_id, name=TOKEN_NAME)
        except UserNotFound:
            password = secrets.token_urlsafe(12)
            create_user(user_id=user_id, password=password, is_superuser=True)
            token = issue_token(user_id=user_id, name=TOKEN_NAME)
        if find_token(token) is None:
            raise CommandError(f"The user {user_id} is deactivated. Activate it, or run with another USER.")
    return Access(user_id, _keep("token", token), password)


def instructions(access: Access) -> str:
    """What to open and what to paste."""
    url = settings.PUBLIC_URL
    bearer = f"Bearer {access.token}"
    server = {"url": f"{url}/mcp", "headers": {"Authorization": bearer}}
    vs_code = {"servers": {"todo": {"type": "http", **server}}}
    cursor = {"mcpServers": {"todo": server}}
    user_id = escaped(access.user_id)
    sign_in = user_id if access.password is None else f"{user_id} / {access.password}"
    lines = [f"MCP: {url}/mcp", f"Token: {access.token}", f"Admin: {url}/admin/ ({sign_in})"]
    if access.password is None:
        lines += [f"  To set a new password: .venv/bin/python manage.py changepassword {user_id}"]
    lines += [
        "",
        "Call a tool:",
        f"  curl {url}/api/tools/add_task -H 'Authorization: {bearer}' "
        "-H 'Content-Type: application/json' -d '{\"title\": \"Buy milk\"}'",
        "Claude Code:",
        f'  claude mcp add --transport http todo {url}/mcp --header "Authorization: {bearer}"',
        "VS Code, in .vscode/mcp.json:",
        f"  {json.dumps(vs_code)}",
        "Cursor, in .cursor/mcp.json; most other clients take the same:",
        f"  {json.dumps(cursor)}",
        "",
    ]
    return "\n".join(lines)


def _own_name() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        name = ""
    name = re.sub(r"[^A-Za-z0-9._-]+", "", name)
    return SPARE_USER if name in ("", "me") else name


def _kept(name: str) -> str:
    """What the last run left in the data directory, or ""."""
    with _data_dir_errors():
        try:
            return (settings.TODO_DATA_DIR / name).read_text().strip()
        except FileNotFoundError:
            return ""


def _keep(name: str, text: str) -> str:
    """Write a file that only its owner can read, at once or not at all."""
    directory: Path = settings.TODO_DATA_DIR
    with _data_dir_errors():
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)  # as the embedded PostgreSQL needs it
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f"{name}.")  # made with mode 0600
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
            f"The data directory {settings.TODO_DATA_DIR} cannot be used ({error}). "
            "Set TODO_DATA_DIR to a directory that you may write to."
        ) from None
