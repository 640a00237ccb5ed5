"""Clients that register themselves, by RFC 7591 or by a Client ID Metadata Document: what we make of what they say."""

import threading
from concurrent.futures import Future
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from oauth2_provider.cimd import CIMDError, SafeMetadataFetcher
from oauth2_provider.models import Application
from oauth2_provider.settings import oauth2_settings
from urllib3 import BaseHTTPResponse, HTTPResponse

from todo_mcp.auth.bounded_read import read_within
from todo_mcp.auth.rate_limit import network_of, within

GRANT_TYPES = ("authorization_code", "refresh_token")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
REDIRECT_URIS_MAX = 20
NEW_CLIENTS_AN_HOUR = 60  # from one address
FETCH_SECONDS = 3.0
_fetching = threading.BoundedSemaphore(8)  # documents at once, also those that nobody waits for any more


def is_safe_redirect(uri: str) -> bool:
    """Whether a code may be sent there: https, a native app's own computer (RFC 8252, section 7.3), or Cursor's app."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    if not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri or not host:
        return False
    return parts.scheme in ("https", "cursor") or (parts.scheme == "http" and host in LOOPBACK)


def normalised(metadata: dict[str, Any]) -> dict[str, Any]:
    """Client metadata reduced to what we offer, which RFC 7591, section 2, lets a server do.

    Clients list every grant, method and address that they know; refusing the whole for one of them would shut out
    most. A client that does not want authorization codes at all is left as it is, and refused later.
    """
    reduced = dict(metadata)
    grants = metadata.get("grant_types")
    if isinstance(grants, list) and "authorization_code" in grants:
        reduced["grant_types"] = [grant for grant in GRANT_TYPES if grant in grants]
    if metadata.get("token_endpoint_auth_method") == "private_key_jwt" or "none" in _offered(metadata):
        reduced |= {"token_endpoint_auth_method": "none"}  # PKCE and the redirect URI bind the code to the client
    if isinstance(name := metadata.get("client_name"), str):
        reduced["client_name"] = "".join(char for char in name if char.isprintable())
    uris = metadata.get("redirect_uris")
    if isinstance(uris, list):
        safe = [uri for uri in uris if isinstance(uri, str) and is_safe_redirect(uri)]
        reduced["redirect_uris"] = safe[:REDIRECT_URIS_MAX]
    return reduced


def _offered(metadata: dict[str, Any]) -> list[Any]:
    offered = metadata.get("token_endpoint_auth_methods_supported")
    return offered if isinstance(offered, list) else []


def document_host(application: Application) -> str:
    """The host that vouches for the client's name; nobody does for one that registered by itself."""
    is_document = application.registration_source == Application.RegistrationSource.CIMD
    return urlsplit(application.client_id).hostname or "" if is_document else ""


class MetadataFetcher(SafeMetadataFetcher):  # type: ignore[misc] # the library publishes no types
    """The library's fetcher, safe from request forgery; for a bounded time, and its documents normalised.

    The work is done in a thread that can be left behind: a name server, or a head that comes byte by byte, must not
    hold the database thread of the request.
    """

    def fetch(self, client_id: str) -> tuple[dict[str, Any], int]:
        if not _fetching.acquire(blocking=False):
            raise CIMDError("too many documents are being fetched")
        fetched: Future[tuple[dict[str, Any], int]] = Future()
        threading.Thread(target=self._fetch_into, args=(client_id, fetched), daemon=True).start()
        try:
            document, seconds = fetched.result(FETCH_SECONDS)
        except TimeoutError:
            raise CIMDError("the document did not arrive in time") from None
        reduced = normalised(document)
        if "authorization_code" not in reduced.get("grant_types", GRANT_TYPES):
            raise CIMDError("the client wants no authorization codes")
        return reduced, seconds

    def _fetch_into(self, client_id: str, fetched: "Future[tuple[dict[str, Any], int]]") -> None:
        try:
            fetched.set_result(super().fetch(client_id))
        except Exception as error:
            fetched.set_exception(error)
        finally:
            _fetching.release()

    def _read_document(self, response: BaseHTTPResponse) -> tuple[dict[str, Any], int]:
        try:
            body = read_within(response, seconds=FETCH_SECONDS, maximum=oauth2_settings.CIMD_MAX_DOCUMENT_SIZE)
        except ValueError as error:
            raise CIMDError(str(error)) from error
        document: tuple[dict[str, Any], int] = super()._read_document(
            HTTPResponse(BytesIO(body), response.headers, response.status)
        )
        return document


class RateLimited:
    """Lets an address bring so many client documents an hour."""

    def has_permission(self, request: Any, client_id: str) -> bool:
        address = network_of(request.headers.get("REMOTE_ADDR", ""))
        return within("new client", address, limit=NEW_CLIENTS_AN_HOUR) is None
