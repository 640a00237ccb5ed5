"""Limits on refused requests at OAuth endpoints, for each address and each client id."""

import base64
import binascii
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from todo_mcp.auth.oauth.errors import oauth_error
from todo_mcp.auth.rate_limit import MINUTE, attempts, client_address, count_attempt
from todo_mcp.core.errors import RateLimited

CLIENT_ADDRESS_MAX = 60  # refusals a minute; further ones become 429, while valid requests still pass
CLIENT_ADDRESS_STOP = 600  # refusals a minute; after that every request of the address gets 429 unchecked
CLIENT_NAME_MAX = 60  # refusals a minute, from all addresses; a correct secret still passes


def limit_refusals(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate an OAuth endpoint: too many refusals for an address or a client id within a minute become 429."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        address = client_address(request)
        wait = attempts.seconds_until_allowed("client", address, limit=CLIENT_ADDRESS_STOP, seconds=MINUTE)
        if wait is not None:
            return _too_many(wait)
        try:
            response = view(request, *args, **kwargs)
        except RateLimited as error:
            return _too_many(int(error.details["retry_after"]))
        if response.status_code in (400, 401):
            attempts.add("client", address, limit=CLIENT_ADDRESS_STOP)
            wait = count_attempt("refused client", address, limit=CLIENT_ADDRESS_MAX, seconds=MINUTE)
        if response.status_code == 401 and (name := _client_name(request)):
            wait = count_attempt("client name", name, limit=CLIENT_NAME_MAX, seconds=MINUTE) or wait
        return response if wait is None else _too_many(wait)

    return checked


def _client_name(request: HttpRequest) -> str:
    """The client id that the request claims, in its form or in a Basic header; not verified."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request.POST.get("client_id", "")[:255]
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0][:255]
    except (binascii.Error, ValueError):
        return ""


def _too_many(wait: int) -> HttpResponseBase:
    message = f"Too many refused requests. Try again in {wait} s."
    return oauth_error("temporarily_unavailable", message, 429, {"Retry-After": str(wait)})
