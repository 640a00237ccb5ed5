"""Middleware of Django's pages: parameters that cannot be read get 400; a busy server answers 503 or 429, never 500."""

import logging
from collections.abc import Callable

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError

from todo_mcp.admin_kit.page_security import try_later_page
from todo_mcp.admin_kit.plain_pages import error_page
from todo_mcp.core.errors import Busy, ConnectionLost, RateLimited
from todo_mcp.postgres.health.causes import proves_nothing_done
from todo_mcp.postgres.health.diagnosis import diagnose
from todo_mcp.telemetry.logs import describe_error
from todo_mcp.transports.http.paths import path_in_logs
from todo_mcp.transports.http.request_headers import prefers_page

logger = logging.getLogger(__name__)
UNREADABLE = (BadRequest, SuspiciousOperation, MultiPartParserError)


class ReadableParameters:
    """Answers 400 to parameters that Django cannot read, or that PostgreSQL cannot search for.

    Django logs many of them as an error of the server. A view that meets such a fault later, such as a redirect that
    is too long, gets the same answer. The API has its own rules.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/api/") and (reason := _fault(request)):
            return _refusal(reason)
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return _refusal("The request cannot be read.") if isinstance(error, UNREADABLE) else None


class UnavailableMiddleware:
    """Answers 503 for a view that lost or did not get its connection, and 429 for too many attempts.

    Both carry Retry-After.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, RateLimited):
            return try_later_page(request, int(error.details["retry_after"]))
        busy = error if isinstance(error, Busy) else _busy(request, error)
        if busy is None:
            return None
        headers = {"Retry-After": str(busy.details["retry_after"])}
        response = HttpResponse(busy.message, status=busy.code, content_type="text/plain", headers=headers)
        if prefers_page(request.headers.get("Accept", "")):
            response = HttpResponse(error_page(busy.code, busy.message), status=busy.code, headers=headers)
        response._has_been_logged = True  # type: ignore[attr-defined]  # as a warning; Django would log an error
        return response


def _busy(request: HttpRequest, error: Exception) -> Busy | None:
    """The answer if the database could not do the work. None if the error is a defect."""
    cause = diagnose(error) if isinstance(error, (DatabaseError, InterfaceError)) else None
    if cause is None:
        return None
    extra = {"path": path_in_logs(request.path), "cause": cause, **describe_error(error)}
    logger.warning("database unavailable", extra=extra)
    may_be_done = request.method not in ("GET", "HEAD", "OPTIONS") and not proves_nothing_done(error)
    return ConnectionLost() if may_be_done else Busy()


def _fault(request: HttpRequest) -> str:
    """What is wrong with the parameters; empty if nothing is."""
    try:
        _ = request.body  # reading it first keeps it readable after the parameters are parsed
        parameters = (*request.GET.lists(), *request.POST.lists())
    except (*UNREADABLE, TypeError, ValueError):  # the last two come from a malformed header of a part
        return "The parameters cannot be read, or are too many."
    if request.path_info.startswith("/admin/") and not request.path_info.startswith("/admin/login/"):
        return ""  # the admin's lists search for a NUL and find nothing
    has_nul = any("\0" in text for name, values in parameters for text in (name, *values))
    return "A parameter holds a NUL character." if has_nul else ""


def _refusal(reason: str) -> HttpResponse:
    """JSON as in RFC 6749, section 5.2, for every caller: no page of this server sends such a request."""
    return JsonResponse({"error": "invalid_request", "error_description": reason}, status=400)
