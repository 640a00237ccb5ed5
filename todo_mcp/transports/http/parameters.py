"""What the parameters of every page and form must be, before anything reads, logs or stores them."""

from collections.abc import Callable

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError

UNREADABLE = (BadRequest, SuspiciousOperation, MultiPartParserError)


class ReadableParameters:
    """Middleware: 400 for parameters that Django cannot read, or that PostgreSQL cannot look for.

    Django logs much of this as an error of the server. A view that finds such a fault later, such as a redirect that is
    too long, is answered alike. The API has its own rules.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/api/") and (said := _what_is_wrong(request)):
            return _refusal(said)
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return _refusal("The request cannot be read.") if isinstance(error, UNREADABLE) else None


def _what_is_wrong(request: HttpRequest) -> str:
    try:
        _ = request.body  # so that it can still be read after the parameters in it have been
        sent = (*request.GET.lists(), *request.POST.lists())
    except (*UNREADABLE, TypeError, ValueError):  # the last two over the head of a part
        return "The parameters cannot be read, or are too many."
    if request.path_info.startswith("/admin/") and not request.path_info.startswith("/admin/login/"):
        return ""  # its lists take a NUL for a word that nothing holds
    has_nul = any("\0" in text for name, values in sent for text in (name, *values))
    return "A parameter holds a NUL character." if has_nul else ""


def _refusal(said: str) -> HttpResponse:
    """JSON as in RFC 6749, section 5.2, for every caller: our pages send no such request."""
    return JsonResponse({"error": "invalid_request", "error_description": said}, status=400)
