"""Issuing a token: the form, and the page that shows the token once.

The form's answer is a redirect, so reloading issues no second token. Until the page is shown, the operator's session
holds the token, encrypted with a key that is not in the database.
"""

import base64
from datetime import timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from oauth2_provider.models import AccessToken
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from todo_mcp.auth.tokens import ACT_AS, issue_token
from todo_mcp.process.client_lines import ADD_MILK, ClientLine, client_lines
from todo_mcp.users.models import User

SESSION_KEY = "issued_token"
SECONDS = 600  # that the session's copy can be decrypted


class IssueForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker only
    """The owner, purpose, scopes and lifetime of a new token."""

    user_id = forms.CharField(
        label="User",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The id of the user. Leave this empty for a service token, which acts for any user.",
    )
    name = forms.CharField(
        label="Name",
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text="What the token is for, such as a device. For a service token, the name of the service.",
    )
    scopes = forms.MultipleChoiceField(
        choices=list(settings.SCOPES.items()),
        initial=[scope for scope in settings.SCOPES if scope != ACT_AS],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    days = forms.TypedChoiceField(
        label="Expires",
        coerce=int,
        choices=[(30, "in 30 days"), (90, "in 90 days"), (365, "in a year"), (0, "never")],
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = AccessToken
        fields: list[str] = []

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("user_id"):
            is_active = User.objects.filter(pk=data["user_id"]).values_list("is_active", flat=True).first()
            if is_active is None:
                self.add_error("user_id", "There is no user with this id.")
            elif not is_active:
                self.add_error("user_id", "This user is deactivated. Activate the user first.")
            if ACT_AS in data.get("scopes", []):
                self.add_error(
                    "scopes", f"{ACT_AS} is only for service tokens. Leave the user empty, or remove this scope."
                )
        elif not data.get("name"):
            self.add_error("user_id", "Enter a user id, or the name of a service.")
        return data

    def issue(self) -> str:
        """Issue the token. Only this call returns it; the database stores a hash."""
        data = self.cleaned_data
        return issue_token(
            user_id=data["user_id"] or None,
            service=None if data["user_id"] else data["name"],
            name=data["name"] if data["user_id"] else "",
            scopes=data["scopes"],
            expires_in=timedelta(days=data["days"]) if data["days"] else None,
        )


def hold(request: HttpRequest, token_id: int, value: str) -> None:
    """Keep the token for the next page of this operator."""
    request.session[SESSION_KEY] = {"id": token_id, "sealed": _box().encrypt(value.encode()).decode()}


def take(request: HttpRequest, token_id: int) -> str | None:
    """The token, if this page is the first that asks for it, within ``SECONDS``. It is then gone from the session."""
    held = request.session.get(SESSION_KEY)
    if not held or held["id"] != token_id:
        return None
    del request.session[SESSION_KEY]
    try:
        return _box().decrypt(held["sealed"], ttl=SECONDS).decode()
    except InvalidToken:
        return None


def lines_for(token: AccessToken, value: str) -> list[ClientLine]:
    """The lines to paste into clients. The line for ``curl`` calls a tool that this token may call."""
    tool, arguments = ("add_task", ADD_MILK) if token.is_valid(["tasks:write"]) else ("list_tasks", {})
    return client_lines(value, tool, arguments if token.user_id else {"user_id": "USER_ID", **arguments})


def _box() -> Fernet:
    key = salted_hmac("todo_mcp.operators.tokens.issuing", "", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))
