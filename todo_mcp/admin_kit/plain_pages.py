"""Pages without scripts for everybody: the first page, and what went wrong. None of them needs the database."""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

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


@cache
def front_page(public_url: str) -> str:
    """The first page, the same for everybody: what this server is, and how to connect."""
    return render_to_string("account/front.html", {"url": public_url, "is_https": public_url.startswith("https:")})


def request_number(request: HttpRequest) -> dict[str, str]:
    """A context processor: templates may show the request's number, under which the log has it."""
    return {"request_id": request_id.get()}
