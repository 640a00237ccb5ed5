"""Loads the admin modules that are outside an app. Django only looks for an ``admin`` module in each app."""

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm

from todo_mcp.auth.account.pages import SignInForm
from todo_mcp.operators import log_admin, transcript_calls, users_admin
from todo_mcp.operators.calls import admin as calls
from todo_mcp.operators.tokens import admin as tokens
from todo_mcp.operators.tokens import clients, revoked


class OperatorSignInForm(SignInForm, AdminAuthenticationForm):
    """The sign-in form of the account pages, for operators only."""


admin.site.index_title = "Overview"
admin.site.login_form = OperatorSignInForm
admin.site.login_template = "admin/sign_in.html"

__all__ = ["calls", "clients", "log_admin", "revoked", "tokens", "transcript_calls", "users_admin"]
