"""Loads the admin modules that are outside an app. Django only looks for an ``admin`` module in each app."""

from django.contrib import admin
from unfold.forms import AuthenticationForm

from todo_mcp.auth.account.pages import BoundedName
from todo_mcp.operators import log_admin, users_admin
from todo_mcp.operators.tokens import admin as tokens
from todo_mcp.operators.tokens import clients, revoked


class OperatorSignInForm(BoundedName, AuthenticationForm):  # type: ignore[misc] # the theme publishes no types
    """The theme's sign-in form. It rejects names that no user can have."""


admin.site.index_title = "Overview"
admin.site.login_form = OperatorSignInForm
admin.site.login_template = "admin/sign_in.html"

__all__ = ["clients", "log_admin", "revoked", "tokens", "users_admin"]
