"""The key set that an issuer publishes (JWK Set, RFC 7517), fetched as its keys rotate."""

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
FRESH = 300.0  # after which keys are fetched again
STALE = 3600.0  # for which known keys are used while their source is away
PAUSE = 5.0  # between fetches, whoever asks and whatever for: a token with an invented kid must not cost a fetch
DOCUMENT_MAX = 64 * 1024  # bytes


class JsonWebKeySet:
    """Finds keys by their id. A caller first waits for ``fetch``, where there is one, and holds nothing meanwhile."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._keys: list[dict[str, Any]] = []
        self._fetched = -STALE
        self._tried = -PAUSE
        self._fetching: Future[None] | None = None

    def fetch(self, kid: Any, algorithm: str) -> "Future[None] | None":
        """The fetch that may bring this key: one for all who wait. Wait ``TIMEOUT`` at most; it may take longer.

        None where the key is known, and fresh or being fetched already, or where the last fetch is too recent.
        """
        known = self._age() <= STALE and self._among(kid, algorithm) is not None
        if known and self._age() <= FRESH:
            return None
        with self._lock:
            if time.monotonic() - self._tried <= PAUSE:  # a fetch that takes longer is given up
                return None if known else self._fetching
            self._tried = time.monotonic()
            fetching: Future[None] = Future()
            self._fetching = fetching
        # A thread that can be left behind: the head of an answer may come byte by byte.
        threading.Thread(target=self._refresh, args=(fetching,), daemon=True).start()
        return fetching

    def find(self, kid: Any, algorithm: str) -> PyJWK:
        """The signing key with this id; where the token names none, the only one there is. Fetches nothing.

        Raises:
            KeysUnavailable: there are no keys, or none recent enough.
            LookupError: there is no such key.
        """
        if self._age() > STALE:
            raise KeysUnavailable
        found = self._among(kid, algorithm)
        if found is None:
            raise LookupError("no such key")
        return PyJWK(found, algorithm)

    def _among(self, kid: Any, algorithm: str) -> dict[str, Any] | None:
        usable = [key for key in self._keys if _signs(key, algorithm)]
        if kid is not None:
            return next((key for key in usable if key.get("kid") == kid), None)
        return usable[0] if len(usable) == 1 else None

    def _age(self) -> float:
        return time.monotonic() - self._fetched

    def _refresh(self, fetching: "Future[None]") -> None:
        keys = None
        try:
            keys = self._fetch()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            logger.warning("key set unavailable", extra={"url": self._url, "error": type(error).__name__})
        finally:
            with self._lock:
                if self._fetching is fetching:  # it was not given up
                    self._fetching = None
                    if keys is not None:
                        self._keys, self._fetched = keys, time.monotonic()
            fetching.set_result(None)

    def _fetch(self) -> list[dict[str, Any]]:
        tls = tls_until(time.monotonic() + TIMEOUT)
        # No redirect: the operator has named the address, and nobody else may.
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


def _signs(key: dict[str, Any], algorithm: str) -> bool:
    """Whether the key is for signatures of this algorithm (RFC 7517, sections 4.2 to 4.4), and no secret."""
    return (
        key.get("kty") in ("RSA", "EC", "OKP")
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and "verify" in key.get("key_ops", ["verify"])
    )
