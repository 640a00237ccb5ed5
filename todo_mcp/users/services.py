"""Create, activate and deactivate users, for commands, the admin and sign-in."""

from todo_mcp.core.errors import UserNotFound
from todo_mcp.users.models import User


def create_user(
    *,
    user_id: str,
    password: str | None = None,
    email: str = "",
    name: str = "",
    is_staff: bool = False,
    is_superuser: bool = False,
) -> User:
    """Create a user. Without a password, the user can have tokens but cannot sign in.

    Raises:
        ValidationError: the id is taken, reserved or malformed, or the email is invalid.
    """
    return User.objects.create_user(
        user_id, password, email=email, name=name, is_staff=is_staff or is_superuser, is_superuser=is_superuser
    )


def set_active(*, user_id: str, active: bool) -> None:
    """Activate or deactivate a user. If inactive, the user's tokens are refused from the next call on.

    Raises:
        UserNotFound: there is no such user.
    """
    if not User.objects.filter(pk=user_id).update(is_active=active):
        raise UserNotFound(user_id)
