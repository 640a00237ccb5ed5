"""What protects the people at our pages: which scripts their browser runs, and what a locked sign-in says."""

from typing import Any

from axes.helpers import get_cool_off
from csp.constants import SELF, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.generic import View

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


def locked_out(request: HttpRequest, response: HttpResponse | None = None, credentials: Any = None) -> HttpResponse:
    """After too many wrong passwords: what happened and when to come back."""
    wait = get_cool_off(request)
    return come_back(request, int(wait.total_seconds()) if wait else 0, is_locked=True)


def come_back(request: HttpRequest, seconds: int, *, is_locked: bool = False) -> HttpResponse:
    """The page of 429: for a name that is locked at this address, or for too many attempts of any kind."""
    wait = f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
    page = render(request, "admin/locked.html", {"wait": wait, "is_locked": is_locked}, status=429)
    page.headers["Retry-After"] = str(seconds)
    return page


# No form-action: browsers apply it to the redirect that follows, which goes to the client.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


class PageHeaders(View):
    """Mixin of a page that a signed-in person sees."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        assert isinstance(response, HttpResponse)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-store"
        return response
