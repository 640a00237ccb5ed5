"""What a page answers while the database is out of reach: come again, instead of a fault of ours."""

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from todo_mcp.core.errors import Busy
from todo_mcp.logs import describe

logger = logging.getLogger(__name__)


class DatabaseAwayMiddleware:
    """503 with Retry-After for a view that lost, or did not get, its connection."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, (InterfaceError, OperationalError)):
            return None
        logger.warning("database unavailable", extra={"path": request.path, **describe(error)})
        busy = Busy()
        seconds = str(busy.details["retry_after"])
        return HttpResponse(busy.message, status=busy.code, content_type="text/plain", headers={"Retry-After": seconds})
