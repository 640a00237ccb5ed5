"""Protection of our HTML pages: the content security policies, and the page for too many sign-in attempts."""

from typing import Any

from axes.helpers import get_cool_off
from csp.constants import SELF, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.generic import View

from todo_mcp.admin_kit.plain_pages import POLICY

# The admin's theme uses Alpine, which compiles expressions in HTML attributes. None of them contains user input.
# Admin forms may only post to this site. Other pages omit form-action: the OAuth consent form redirects to the client.
ADMIN = {"script-src": [UNSAFE_EVAL], "form-action": [SELF]}


class ContentSecurityPolicy(CSPMiddleware):
    """Adds the policy of the settings to each Django page, and the extra directives that the admin needs."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only and request.path_info.startswith("/admin/"):
            parts.update = {**(parts.update or {}), **ADMIN}
        return parts


def locked_out(request: HttpRequest, response: HttpResponse | None = None, credentials: Any = None) -> HttpResponse:
    """The answer of django-axes to too many wrong passwords: what happened, and when to try again."""
    wait = get_cool_off(request)
    return try_later_page(request, int(wait.total_seconds()) if wait else 0, is_locked=True)


def try_later_page(request: HttpRequest, seconds: int, *, is_locked: bool = False) -> HttpResponse:
    """The page for status 429, with ``Retry-After``.

    Args:
        is_locked: the user name is locked for this address; otherwise there were too many attempts of any kind.
    """
    wait = f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
    page = render(request, "admin/locked.html", {"wait": wait, "is_locked": is_locked}, status=429)
    page.headers["Retry-After"] = str(seconds)
    return page


class PageHeaders(View):
    """Mixin for a page of a signed-in user: adds the policy and forbids caching."""

    runs_script = False  # one of this server's files

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        assert isinstance(response, HttpResponse)
        response.headers["Content-Security-Policy"] = f"{POLICY}; script-src 'self'" if self.runs_script else POLICY
        response.headers["Cache-Control"] = "no-store"
        return response
