"""Clients that register themselves, by RFC 7591 or by a Client ID Metadata Document: what we make of what they say."""

import threading
import time
from concurrent.futures import Future
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import urllib3
from oauth2_provider import cimd
from oauth2_provider.cimd import CIMDError, SafeMetadataFetcher
from oauth2_provider.models import Application
from oauth2_provider.settings import oauth2_settings

from todo_mcp.auth.bounded_read import read_within, tls_until
from todo_mcp.auth.rate_limit import within, within_address
from todo_mcp.core.errors import Busy
from todo_mcp.core.strict_json import parse
from todo_mcp.postgres.greenlets import outside_the_gate

GRANT_TYPES = ("authorization_code", "refresh_token")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
REDIRECT_URIS_MAX = 20
URI_MAX = 2048  # characters
NEW_CLIENTS_AN_HOUR = 60  # from one address
CLIENTS_AN_HOUR = 5000  # from all of them; each may be a row of 16 KiB for 30 days
NAME_MAX = ID_MAX = 255  # characters, of a client; what their columns hold
FETCH_SECONDS = 3.0  # for all of a fetch
THREAD = "client document"
FETCHES_MAX = 8  # at once, with those that nobody waits for any more
_fetching = threading.BoundedSemaphore(FETCHES_MAX)
_TYPES: dict[str, tuple[type, str]] = {
    "client_name": (str, "a string"),
    "grant_types": (list, "an array"),
    "redirect_uris": (list, "an array"),
    "token_endpoint_auth_method": (str, "a string"),
}


class BadMetadata(ValueError):
    """What is wrong with a client's metadata, in a sentence; ``error`` is its name in RFC 7591, section 3.2.2."""

    def __init__(self, said: str, error: str = "invalid_client_metadata") -> None:
        super().__init__(said)
        self.error = error


def is_safe_redirect(uri: str) -> bool:
    """Whether a code may be sent there: https, a native app's own computer (RFC 8252, section 7.3), or Cursor's app."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    if len(uri) > URI_MAX or not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri or not host:
        return False
    return parts.scheme in ("https", "cursor") or (parts.scheme == "http" and host in LOOPBACK)


def normalised(metadata: dict[str, Any]) -> dict[str, Any]:
    """Client metadata reduced to what we offer, which RFC 7591, section 2, lets a server do.

    Clients list every grant, method and address that they know; refusing the whole for one of them would shut out
    most. A null counts as left out.

    Raises:
        BadMetadata: a value is of another type or too long, or nothing is left that we offer.
    """
    reduced = {name: value for name, value in metadata.items() if value is not None}
    for name, (type_, words) in _TYPES.items():
        if not isinstance(reduced.get(name, type_()), type_):
            raise BadMetadata(f"{name} must be {words}.")
    if "grant_types" in reduced:
        reduced["grant_types"] = [grant for grant in GRANT_TYPES if grant in reduced["grant_types"]]
        if GRANT_TYPES[0] not in reduced["grant_types"]:
            raise BadMetadata(f"grant_types must hold {GRANT_TYPES[0]}, which is what this server has.")
    if reduced.get("token_endpoint_auth_method") == "private_key_jwt" or "none" in _offered(metadata):
        reduced |= {"token_endpoint_auth_method": "none"}  # PKCE and the redirect URI bind the code to the client
    if "client_name" in reduced:
        reduced["client_name"] = "".join(char for char in reduced["client_name"] if char.isprintable())
        if len(reduced["client_name"]) > NAME_MAX:
            raise BadMetadata(f"client_name is longer than {NAME_MAX} characters.")
    uris = reduced.get("redirect_uris", [])
    safe = [uri for uri in uris if isinstance(uri, str) and is_safe_redirect(uri)]
    if not safe:
        said = "redirect_uris must hold an https address, or http on the client's own computer (localhost, 127.0.0.1)."
        raise BadMetadata(said, "invalid_redirect_uri")
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
    """The library's fetcher, safe from request forgery; all of it for a bounded time, and its documents normalised.

    The work is done in a thread that can be left behind, for a name server cannot be given a time limit. What is left
    behind keeps its place among FETCHES_MAX, and ends soon: after the name is resolved, every step is limited.
    """

    def fetch(self, client_id: str) -> tuple[dict[str, Any], int]:
        if not _fetching.acquire(blocking=False):
            raise CIMDError("too many documents are being fetched")
        fetched: Future[tuple[dict[str, Any], int]] = Future()
        thread = threading.Thread(target=self._fetch_into, args=(client_id, fetched), name=THREAD, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            _fetching.release()
            raise CIMDError("no more threads") from None
        try:
            document, seconds = outside_the_gate(lambda: fetched.result(FETCH_SECONDS))
            return normalised(document), seconds
        except TimeoutError:
            raise CIMDError("the document did not arrive in time") from None
        except Busy:
            raise CIMDError("the server is busy") from None
        except (ValueError, OSError, urllib3.exceptions.HTTPError) as error:  # of an address that is none, or a peer
            raise CIMDError(f"{type(error).__name__}: {error}") from error

    def _fetch_into(self, client_id: str, fetched: "Future[tuple[dict[str, Any], int]]") -> None:
        try:
            fetched.set_result(self._fetch(client_id, time.monotonic() + FETCH_SECONDS))
        except Exception as error:
            fetched.set_exception(error)
        finally:
            _fetching.release()

    def _fetch(self, client_id: str, end: float) -> tuple[dict[str, Any], int]:
        """As the library does it, on connections that end in time: from its first address that answers."""
        parsed = cimd._validate_client_id_url(client_id)
        port = parsed.port or 443
        target = parsed.path + (f"?{parsed.query}" if parsed.query else "")
        headers = {"Host": parsed.netloc, "Accept": "application/json, application/*+json"}
        tls: dict[str, Any] = {"ssl_context": tls_until(end), "server_hostname": parsed.hostname}
        failed: Exception = TimeoutError()
        for address in cimd._resolve_and_validate(parsed.hostname, port):
            left = end - time.monotonic()
            if left <= 0:
                break
            # To the very address that was found to be public: asking again could give another.
            timeout = urllib3.Timeout(total=left)
            with urllib3.HTTPSConnectionPool(address, port, timeout=timeout, retries=False, **tls) as pool:
                try:
                    return self._read_document(
                        pool.urlopen("GET", target, headers=headers, redirect=False, preload_content=False)
                    )
                except urllib3.exceptions.HTTPError as error:
                    failed = error
        raise failed

    def _read_document(self, response: urllib3.BaseHTTPResponse) -> tuple[dict[str, Any], int]:
        maximum = oauth2_settings.CIMD_MAX_DOCUMENT_SIZE
        try:
            with response:
                body = read_within(response, seconds=FETCH_SECONDS, maximum=maximum)
            if response.status == 200 and len(body) <= maximum:
                parse(body)  # stricter than the library: no nesting without end, no key twice
        except ValueError as error:
            raise CIMDError(str(error)) from error
        kept = {name: response.headers.get(name, "") for name in ("Content-Type", "Cache-Control")}
        plain = urllib3.HTTPResponse(BytesIO(body), kept, response.status, preload_content=False)
        document: tuple[dict[str, Any], int] = super()._read_document(plain)
        return document


def too_many_clients(address: str) -> int | None:
    """Count a new client, however it is registered: None, or the seconds to wait."""
    wait = within_address("new client", address, limit=NEW_CLIENTS_AN_HOUR)
    return wait or within("new client", "of anybody", limit=CLIENTS_AN_HOUR)


class FewNewClients:
    """Lets an address bring so many client documents an hour."""

    def has_permission(self, request: Any, client_id: str) -> bool:
        return too_many_clients(request.headers.get("REMOTE_ADDR", "")) is None
