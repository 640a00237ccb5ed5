"""The key set that an issuer publishes (JWK Set, RFC 7517). It is fetched again when keys rotate."""

import logging
import threading
import time
from concurrent.futures import Future
from typing import Any

import urllib3
from jwt import PyJWK

from todo_mcp.auth.bounded_read import read_within, tls_until
from todo_mcp.core.errors import KeysUnavailable
from todo_mcp.core.strict_json import parse

logger = logging.getLogger(__name__)

# Seconds
TIMEOUT = 3.0
FRESH = 300.0  # the age at which keys are fetched again
STALE = 3600.0  # the age up to which stored keys are used while the issuer cannot be reached
PAUSE = 5.0  # between fetches, for all callers: tokens with an invented kid must not cause a fetch each
DOCUMENT_MAX = 64 * 1024  # bytes


class JsonWebKeySet:
    """Finds keys by id.

    Callers first wait for ``fetch``, while they hold no place at the gate. Then they call ``find``.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._keys: list[dict[str, Any]] = []
        self._fetched_at = -STALE
        self._last_attempt_at = -PAUSE
        self._current_fetch: Future[None] | None = None

    def fetch(self, kid: Any, algorithm: str) -> "Future[None] | None":
        """Start or join the fetch that may bring this key. All callers share it. Wait at most ``TIMEOUT`` for it.

        Returns None if there is nothing to wait for. Then the key is stored, and is fresh or is being refreshed; or the
        last fetch has ended and began less than ``PAUSE`` ago.
        """
        is_stored = self._age() <= STALE and self._stored_key(kid, algorithm) is not None
        if is_stored and self._age() <= FRESH:
            return None
        with self._lock:
            if time.monotonic() - self._last_attempt_at <= PAUSE:  # a fetch that takes longer is abandoned
                return None if is_stored else self._current_fetch
            self._last_attempt_at = time.monotonic()
            fetch: Future[None] = Future()
            self._current_fetch = fetch
        # A daemon thread can be abandoned: a slow peer may send the headers byte by byte.
        threading.Thread(target=self._refresh, args=(fetch,), daemon=True).start()
        return fetch

    def find(self, kid: Any, algorithm: str) -> PyJWK:
        """The stored signing key with this id. A token without an id gets the only usable key. Never fetches.

        Raises:
            KeysUnavailable: no keys are stored, or they are older than ``STALE``.
            LookupError: no stored key matches.
        """
        if self._age() > STALE:
            raise KeysUnavailable
        key = self._stored_key(kid, algorithm)
        if key is None:
            raise LookupError("no such key")
        return PyJWK(key, algorithm)

    def _stored_key(self, kid: Any, algorithm: str) -> dict[str, Any] | None:
        usable = [key for key in self._keys if _can_verify(key, algorithm)]
        if kid is not None:
            return next((key for key in usable if key.get("kid") == kid), None)
        return usable[0] if len(usable) == 1 else None

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _refresh(self, fetch: "Future[None]") -> None:
        keys = None
        try:
            keys = self._fetch()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            logger.warning("key set unavailable", extra={"url": self._url, "error": type(error).__name__})
        finally:
            with self._lock:
                if self._current_fetch is fetch:  # it was not abandoned
                    self._current_fetch = None
                    if keys is not None:
                        self._keys, self._fetched_at = keys, time.monotonic()
            fetch.set_result(None)

    def _fetch(self) -> list[dict[str, Any]]:
        tls = tls_until(time.monotonic() + TIMEOUT)
        # No redirects: only the operator may choose the address.
        with (
            urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=TIMEOUT), ssl_context=tls) as http,
            http.request("GET", self._url, redirect=False, preload_content=False) as response,
        ):
            body = read_within(response, seconds=TIMEOUT, maximum=DOCUMENT_MAX)
        if response.status != 200 or len(body) > DOCUMENT_MAX:
            raise ValueError("no key set")
        document = parse(body)
        keys = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(keys, list):
            raise ValueError("no key set")
        return [key for key in keys if isinstance(key, dict)]


def _can_verify(key: dict[str, Any], algorithm: str) -> bool:
    """Whether this is an asymmetric key for signatures of this algorithm (RFC 7517, sections 4.2 to 4.4)."""
    return (
        key.get("kty") in ("RSA", "EC", "OKP")
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and "verify" in key.get("key_ops", ["verify"])
    )
