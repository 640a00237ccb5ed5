"""Values that a page reads from its address or from a form."""

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

ID_DIGITS = 18  # any number of 18 digits fits PostgreSQL's bigint


def positive(text: str | None) -> int | None:
    """Parse an id from user input. None if the text is not a number of at most ID_DIGITS digits."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= ID_DIGITS else None


def next_url(request: HttpRequest) -> str:
    """The page that the request names to go on with, empty if none. Other sites are ignored."""
    url = request.POST.get("next") or request.GET.get("next", "")
    return url if url_has_allowed_host_and_scheme(url, allowed_hosts=None) else ""
