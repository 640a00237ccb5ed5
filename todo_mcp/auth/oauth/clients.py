"""Self-registered clients: RFC 7591 and Client ID Metadata Documents. Their metadata is checked and normalised."""

import hashlib
import threading
import time
from concurrent.futures import Future
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import urllib3
from django.core.cache import cache
from oauth2_provider import cimd
from oauth2_provider.cimd import CIMDError, SafeMetadataFetcher
from oauth2_provider.models import Application
from oauth2_provider.settings import oauth2_settings

from todo_mcp.auth.bounded_read import read_within, tls_until
from todo_mcp.auth.jwt import assertions
from todo_mcp.auth.oauth.redirects import refusal, refusal_message, shown
from todo_mcp.auth.rate_limit import count_attempt, count_attempt_from_address
from todo_mcp.core.errors import Busy
from todo_mcp.core.strict_json import parse
from todo_mcp.postgres.greenlets import outside_the_gate

GRANT_TYPES = ("authorization_code", "refresh_token")
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523; supported if a provider is configured for it
AUTH_METHODS = ("none", "client_secret_post", "client_secret_basic")
REDIRECT_URIS_MAX = 20
NEW_CLIENTS_AN_HOUR = 60  # from one address
CLIENTS_AN_HOUR = 5000  # from all addresses; each client may be a row of 16 KiB that stays for 30 days
NAME_MAX = ID_MAX = 255  # characters of a client's name and id; the size of the columns
FETCH_SECONDS = 3.0  # for a whole fetch
THREAD = "client document"
FETCHES_MAX = 8  # at the same time, including abandoned ones
_fetch_slots = threading.BoundedSemaphore(FETCHES_MAX)
_TYPES: dict[str, tuple[type, str]] = {
    "client_name": (str, "a string"),
    "grant_types": (list, "an array"),
    "redirect_uris": (list, "an array"),
    "token_endpoint_auth_method": (str, "a string"),
}


class BadMetadata(ValueError):
    """A client's metadata is not valid. The message is a sentence; ``error`` is the code of RFC 7591, section 3.2.2."""

    def __init__(self, message: str, error: str = "invalid_client_metadata") -> None:
        super().__init__(message)
        self.error = error


def supported_grants() -> tuple[str, ...]:
    """The grants that the token endpoint accepts."""
    return (*GRANT_TYPES, JWT_BEARER) if assertions.are_accepted() else GRANT_TYPES


def normalise(metadata: dict[str, Any]) -> dict[str, Any]:
    """Reduce client metadata to the values that this server supports, as RFC 7591, section 2, allows.

    Clients list every grant, scope, method and redirect URI that they know. Refusing unsupported ones would shut out
    most clients. A null counts as absent.

    Raises:
        BadMetadata: a value has the wrong type or is too long, or no supported grant or redirect URI is left.
    """
    result = {name: value for name, value in metadata.items() if value is not None}
    for name, (type_, type_name) in _TYPES.items():
        if not isinstance(result.get(name, type_()), type_):
            raise BadMetadata(f"{name} must be {type_name}.")
    if "grant_types" in result:
        result["grant_types"] = [grant for grant in supported_grants() if grant in result["grant_types"]]
        if not set(result["grant_types"]) & {GRANT_TYPES[0], JWT_BEARER}:
            raise BadMetadata(f"grant_types must hold {GRANT_TYPES[0]}, the grant that this server supports.")
    if result.get("token_endpoint_auth_method") == "private_key_jwt" or "none" in _supported_methods(metadata):
        result |= {"token_endpoint_auth_method": "none"}  # PKCE and the redirect URI bind the code to the client
    if "client_name" in result:
        result["client_name"] = "".join(char for char in result["client_name"] if char.isprintable())
        if len(result["client_name"]) > NAME_MAX:
            raise BadMetadata(f"client_name is longer than {NAME_MAX} characters.")
    if (method := result.get("token_endpoint_auth_method", AUTH_METHODS[0])) not in AUTH_METHODS:
        raise BadMetadata(f"token_endpoint_auth_method must be one of {', '.join(AUTH_METHODS)}, not {shown(method)}.")
    if result.get("grant_types") == [JWT_BEARER]:
        return result | {"redirect_uris": []}  # nothing redirects to it
    result["redirect_uris"] = _safe_redirects(result.get("redirect_uris", []))
    return result


def for_library(metadata: dict[str, Any]) -> dict[str, Any]:
    """Normalised metadata in the form that the library can store: with one grant, and the refresh of its tokens.

    A client that has only ``JWT_BEARER`` is stored with the one grant that needs no redirect URI. The token endpoint
    accepts that grant from nobody.
    """
    if metadata.get("grant_types") == [JWT_BEARER]:
        return metadata | {"grant_types": ["client_credentials"]}
    grants = [grant for grant in metadata.get("grant_types", GRANT_TYPES) if grant != JWT_BEARER]
    return metadata | {"grant_types": grants}


def _safe_redirects(uris: list[Any]) -> list[str]:
    """The redirect URIs that may be used. Clients list several, so one that is refused does not shut them out."""
    reasons = [refusal(uri) for uri in uris]
    safe = [uri for uri, reason in zip(uris, reasons, strict=True) if reason is None]
    if safe:
        return safe[:REDIRECT_URIS_MAX]
    if uris and reasons[0]:
        raise BadMetadata(refusal_message(uris[0], reasons[0]), "invalid_redirect_uri")
    raise BadMetadata(
        "redirect_uris must hold an https address, http on localhost or 127.0.0.1, or a scheme of the app's own.",
        "invalid_redirect_uri",
    )


def _supported_methods(metadata: dict[str, Any]) -> list[Any]:
    methods = metadata.get("token_endpoint_auth_methods_supported")
    return methods if isinstance(methods, list) else []


def document_host(application: Application) -> str:
    """The host that publishes the client's document, and so vouches for its name. Empty for other registrations."""
    is_document = application.registration_source == Application.RegistrationSource.CIMD
    return urlsplit(application.client_id).hostname or "" if is_document else ""


def document_problem(client_id: str) -> str | None:
    """Why no client has this id, if it is the address of a document. Tells only what the document itself holds."""
    if not cimd.is_cimd_client_id(client_id):
        return None
    return (
        cache.get(_problem_key(client_id))
        or "The metadata document at the client_id cannot be used. It must arrive within 3 s, with at most 16 KiB of "
        "JSON, and hold its own address as client_id. Correct it, and try again in a minute."
    )


def _problem_key(client_id: str) -> str:
    return f"client-document-{hashlib.sha256(client_id.encode()).hexdigest()}"


class MetadataFetcher(SafeMetadataFetcher):  # type: ignore[misc] # the library publishes no types
    """The library's fetcher, which prevents server-side request forgery. Adds a total time limit and normalisation.

    The fetch runs in a thread that can be abandoned, because name resolution takes no time limit. An abandoned fetch
    still counts towards ``FETCHES_MAX``. It ends soon: every step after the name resolution has a time limit.
    """

    def fetch(self, client_id: str) -> tuple[dict[str, Any], int]:
        if not _fetch_slots.acquire(blocking=False):
            raise CIMDError("too many documents are being fetched")
        result: Future[tuple[dict[str, Any], int]] = Future()
        thread = threading.Thread(target=self._fetch_into, args=(client_id, result), name=THREAD, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            _fetch_slots.release()
            raise CIMDError("no more threads") from None
        try:
            document, seconds = outside_the_gate(lambda: result.result(FETCH_SECONDS))
            return for_library(normalise(document)), seconds
        except BadMetadata as bad:
            cache.set(_problem_key(client_id), str(bad), oauth2_settings.CIMD_FAILURE_BACKOFF_SECONDS)
            raise CIMDError(str(bad)) from bad
        except TimeoutError:
            raise CIMDError("the document did not arrive in time") from None
        except Busy:
            raise CIMDError("the server is busy") from None
        except (ValueError, OSError, urllib3.exceptions.HTTPError) as error:  # a malformed address, or a failing peer
            raise CIMDError(f"{type(error).__name__}: {error}") from error

    def _fetch_into(self, client_id: str, result: "Future[tuple[dict[str, Any], int]]") -> None:
        try:
            result.set_result(self._fetch(client_id, time.monotonic() + FETCH_SECONDS))
        except Exception as error:
            result.set_exception(error)
        finally:
            _fetch_slots.release()

    def _fetch(self, client_id: str, end: float) -> tuple[dict[str, Any], int]:
        """Fetch as the library does, but on connections that end in time. Tries each address until one responds."""
        parsed = cimd._validate_client_id_url(client_id)
        port = parsed.port or 443
        target = parsed.path + (f"?{parsed.query}" if parsed.query else "")
        headers = {"Host": parsed.netloc, "Accept": "application/json, application/*+json"}
        tls: dict[str, Any] = {"ssl_context": tls_until(end), "server_hostname": parsed.hostname}
        failure: Exception = TimeoutError()
        for address in cimd._resolve_and_validate(parsed.hostname, port):
            remaining = end - time.monotonic()
            if remaining <= 0:
                break
            # Connect to the address that was checked: a second DNS lookup could return a private one.
            timeout = urllib3.Timeout(total=remaining)
            with urllib3.HTTPSConnectionPool(address, port, timeout=timeout, retries=False, **tls) as pool:
                try:
                    return self._read_document(
                        pool.urlopen("GET", target, headers=headers, redirect=False, preload_content=False)
                    )
                except urllib3.exceptions.HTTPError as error:
                    failure = error
        raise failure

    def _read_document(self, response: urllib3.BaseHTTPResponse) -> tuple[dict[str, Any], int]:
        maximum = oauth2_settings.CIMD_MAX_DOCUMENT_SIZE
        try:
            with response:
                body = read_within(response, seconds=FETCH_SECONDS, maximum=maximum)
            if response.status == 200 and len(body) <= maximum:
                parse(body)  # stricter than the library: refuses deep nesting and repeated keys
        except ValueError as error:
            raise CIMDError(str(error)) from error
        headers = {name: response.headers.get(name, "") for name in ("Content-Type", "Cache-Control")}
        plain = urllib3.HTTPResponse(BytesIO(body), headers, response.status, preload_content=False)
        document: tuple[dict[str, Any], int] = super()._read_document(plain)
        return document


def count_new_client(address: str) -> int | None:
    """Count a new client of either registration type. Return None if it is allowed, else the seconds to wait."""
    wait = count_attempt_from_address("new client", address, limit=NEW_CLIENTS_AN_HOUR)
    return wait or count_attempt("new client", "of anybody", limit=CLIENTS_AN_HOUR)


class NewClientLimit:
    """Limits new client documents for each address, with the same counter as registrations."""

    def has_permission(self, request: Any, client_id: str) -> bool:
        return count_new_client(request.headers.get("REMOTE_ADDR", "")) is None
