"""Pages without scripts for everybody: the first page, and what went wrong. None of them needs the database."""

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from todo_mcp.telemetry.logs import request_id

# No form-action: browsers also apply it to the redirect after the form, which goes to the OAuth client.
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

_TOLD = "If it happens again, give the request's number to the people who run this service."
# For each status: what happened, and what to do. Other statuses are described by HTTP.
_TEXTS = {
    403: ("You may not do this", "Your account has no permission for this page. Ask a superuser for it."),
    404: ("There is no such page", "Check the address, or start from one of the pages below."),
    500: ("This page failed", f"The fault is in the log. Go back and try again. {_TOLD}"),
    503: ("The database does not answer in time", f"Wait a few seconds and load the page again. {_TOLD}"),
}


def asks_for_page(accept: str) -> bool:
    """Whether this header ``Accept`` is that of a browser that opens a page."""
    return "text/html" in accept.lower()


def error_page(status: int, message: str = "") -> str:
    """The page of a refused or failed request: what happened, what to do, and the request's number.

    Args:
        message: the refusal's own advice, instead of the general one.
    """
    described = HTTPStatus(status)
    heading, advice = _TEXTS.get(status, (described.phrase, described.description and f"{described.description}."))
    context = {"heading": heading, "advice": message or advice, "request_id": request_id.get()}
    return render_to_string("account/error.html", context)


def without_body(status: int) -> Callable[..., HttpResponse]:
    """A handler of Django for this status. The transport adds a page or JSON, whichever the caller reads."""
    return lambda request, exception=None: HttpResponse(status=status)


@require_safe
def front_page(request: HttpRequest) -> HttpResponse:
    """What this server is, for a person. A program gets 404, because nothing is for programs here."""
    if not asks_for_page(request.headers.get("Accept", "")):
        raise Http404
    return render(request, "account/front.html", {"public_url": settings.PUBLIC_URL})


def request_number(request: HttpRequest) -> dict[str, str]:
    """A context processor: templates may show the request's number, under which the log has it."""
    return {"request_id": request_id.get()}
