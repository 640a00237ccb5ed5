"""Create, activate and deactivate users, and set their time zones, for commands, the admin and sign-in."""

from django.db import connection

from todo_mcp.core.errors import UserNotFound
from todo_mcp.dates.zones import UnknownZone, find_zone
from todo_mcp.postgres.statements import Parameter, update
from todo_mcp.users.models import User, exact_zone

_store_zone = update(lambda user: User.objects.filter(pk=user, time_zone=""), ["id"], time_zone=Parameter("time_zone"))

_set_zone = update(lambda user: User.objects.filter(pk=user), ["id"], time_zone=Parameter("time_zone"))


def create_user(
    *,
    user_id: str,
    password: str | None = None,
    email: str = "",
    name: str = "",
    is_staff: bool = False,
    is_superuser: bool = False,
    time_zone: str = "",
) -> User:
    """Create a user. Without a password, the user can have tokens but cannot sign in.

    Raises:
        ValidationError: the id is taken, reserved or malformed, the email is invalid, or there is no such time zone.
    """
    return User.objects.create_user(
        user_id,
        password,
        email=email,
        name=name,
        is_staff=is_staff or is_superuser,
        is_superuser=is_superuser,
        time_zone=exact_zone(time_zone),
    )


def set_active(*, user_id: str, active: bool) -> None:
    """Activate or deactivate a user. If inactive, the user's tokens are refused from the next call on.

    Raises:
        UserNotFound: there is no such user.
    """
    if not User.objects.filter(pk=user_id).update(is_active=active):
        raise UserNotFound(user_id)


def set_time_zone(*, user_id: str, time_zone: str) -> str:
    """Set the zone in which a person's days and times are read. Returns the zone's exact name; empty forgets the zone.

    Raises:
        UnknownZone: this is no IANA name.
        UserNotFound: there is no such user.
    """
    name = str(find_zone(time_zone)) if time_zone else ""
    set_zone(user_id=user_id, time_zone=name)
    return name


def set_zone(*, user_id: str, time_zone: str) -> None:
    """Set the zone of the call's own user. A compiled statement, for operations.

    Raises:
        UserNotFound: there is no such user.
    """
    if not _set_zone(user_id=user_id, time_zone=time_zone):
        raise UserNotFound(user_id)


def store_time_zone(*, user_id: str, time_zone: str) -> None:
    """Store the zone that a call names, if the user has none yet. A compiled statement, for operations."""
    _store_zone(user_id=user_id, time_zone=time_zone)


def adopt_time_zone(*, user_id: str, time_zone: str) -> str:
    """Store the zone that an identity provider names, if the user has none yet. Returns it, or "" if it is unknown."""
    try:
        name = str(find_zone(time_zone))
    except UnknownZone:
        return ""
    store_time_zone(user_id=user_id, time_zone=name)
    return name


# Reads one entry of the index for each zone. DISTINCT would read all users.
_ZONES_IN_USE = """
WITH RECURSIVE zones AS (
    (SELECT time_zone FROM users ORDER BY time_zone LIMIT 1)
    UNION ALL
    SELECT (SELECT time_zone FROM users WHERE time_zone > zones.time_zone ORDER BY time_zone LIMIT 1)
    FROM zones WHERE time_zone IS NOT NULL
)
SELECT time_zone FROM zones WHERE time_zone IS NOT NULL
"""


def zones_in_use() -> list[str]:
    """The time zones that users have; "" if some have none."""
    with connection.cursor() as cursor:
        cursor.execute(_ZONES_IN_USE)
        return [name for (name,) in cursor.fetchall()]
