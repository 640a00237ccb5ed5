"""What protects the people at our pages: which scripts their browser runs, and what a locked sign-in says."""

from typing import Any

from axes.helpers import get_cool_off
from csp.constants import SELF, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from todo_mcp.users.models import ID_MAX

# The admin's theme is written for Alpine, which makes functions of the expressions in attributes; none is a visitor's.
# A form posts to us alone; not for the other pages, for a consent to OAuth is a form that leads to the client.
ADMIN = {"script-src": [UNSAFE_EVAL], "form-action": [SELF]}


class ContentSecurityPolicy(CSPMiddleware):
    """The policy of the settings on each of Django's pages, and what the admin needs on top."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only and request.path_info.startswith("/admin/"):
            parts.update = {**(parts.update or {}), **ADMIN}
        return parts


def typed_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str | None:
    """Whose sign-in is counted: what was typed as the name, cut to what the column of django-axes holds."""
    name: str | None = (credentials or request.POST).get("username")
    return name and name[:ID_MAX]


def locked_out(request: HttpRequest, response: HttpResponse | None = None, credentials: Any = None) -> HttpResponse:
    """After too many wrong passwords: what happened and when to come back."""
    wait = get_cool_off(request)
    seconds = int(wait.total_seconds()) if wait else 0
    locked = render(request, "admin/locked.html", {"minutes": seconds // 60}, status=429)
    locked.headers["Retry-After"] = str(seconds)
    return locked
