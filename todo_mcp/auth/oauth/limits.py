"""How many requests an OAuth endpoint may refuse: of an address, and for a client's name."""

import base64
import binascii
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from todo_mcp.auth.oauth.views import oauth_error
from todo_mcp.auth.rate_limit import MINUTE, attempts, client_address, within
from todo_mcp.core.errors import RateLimited

CLIENT_ADDRESS_MAX = 60  # a minute; what is refused beyond that is answered 429, what is right passes
CLIENT_ADDRESS_STOP = 600  # a minute; beyond that nothing of this address is looked at
CLIENT_NAME_MAX = 60  # a minute, from all addresses; a right secret passes all the same


def limited(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """An OAuth endpoint at which an address, and a client's name, may be refused only so often a minute."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        address = client_address(request)
        wait = attempts.wait("client", address, limit=CLIENT_ADDRESS_STOP, seconds=MINUTE)
        if wait is not None:
            return _too_many(wait)
        try:
            response = view(request, *args, **kwargs)
        except RateLimited as error:
            return _too_many(int(error.details["retry_after"]))
        if response.status_code in (400, 401):
            attempts.add("client", address, limit=CLIENT_ADDRESS_STOP)
            wait = within("refused client", address, limit=CLIENT_ADDRESS_MAX, seconds=MINUTE)
        if response.status_code == 401 and (name := _client_name(request)):
            wait = within("client name", name, limit=CLIENT_NAME_MAX, seconds=MINUTE) or wait
        return response if wait is None else _too_many(wait)

    return checked


def _client_name(request: HttpRequest) -> str:
    """Which client the request says that it is from, in its form or in a Basic header."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request.POST.get("client_id", "")[:255]
    try:
        return base64.b64decode(sent, validate=True).decode().partition(":")[0][:255]
    except (binascii.Error, ValueError):
        return ""


def _too_many(wait: int) -> HttpResponseBase:
    said = f"Too many refused requests. Try again in {wait} s."
    return oauth_error("temporarily_unavailable", said, 429, {"Retry-After": str(wait)})
