"""Loads the admin modules that are outside an app. Django only looks for an ``admin`` module in each app."""

from django.contrib import admin
from unfold.forms import AuthenticationForm

from todo_mcp.auth.account.pages import BoundedName
from todo_mcp.operators import log_admin, tokens_admin, users_admin


class OperatorSignInForm(BoundedName, AuthenticationForm):  # type: ignore[misc] # the theme publishes no types
    """The theme's sign-in form. It rejects names that no user can have."""


admin.site.index_title = "Overview"
admin.site.login_form = OperatorSignInForm
admin.site.login_template = "admin/sign_in.html"

__all__ = ["log_admin", "tokens_admin", "users_admin"]
