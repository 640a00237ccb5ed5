"""The sign-in forms, of people and of operators."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.core.validators import MaxLengthValidator

from todo_mcp.users.models import ID_MAX


class BoundedName(AuthenticationForm):
    """Mixin: refuses a name longer than any user's id before a password is hashed or the attempt recorded.

    Django's form only asks the browser to keep to the length; django-axes fails to record such a name.
    """

    def __init__(self, request: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].validators.append(MaxLengthValidator(ID_MAX))


class SignInForm(BoundedName):
    def __init__(self, request: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = "User id"
