"""Answers of pages that cannot be served now: 503 or 429 with Retry-After, and no 500."""

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from todo_mcp.admin_kit.page_security import try_later_page
from todo_mcp.core.errors import Busy, RateLimited
from todo_mcp.telemetry.logs import describe

logger = logging.getLogger(__name__)


class DatabaseAwayMiddleware:
    """With Retry-After: 503 for a view that lost, or did not get, its connection, 429 where too much is tried."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, RateLimited):
            return try_later_page(request, int(error.details["retry_after"]))
        if not isinstance(error, (Busy, InterfaceError, OperationalError)):
            return None
        logger.warning("database unavailable", extra={"path": request.path, **describe(error)})
        busy = Busy()
        seconds = str(busy.details["retry_after"])
        away = HttpResponse(busy.message, status=busy.code, content_type="text/plain", headers={"Retry-After": seconds})
        away._has_been_logged = True  # type: ignore[attr-defined]  # as a warning; Django would call it an error
        return away
