"""How passwords and secrets are hashed: slowly where people choose them, one at a time, and never at the gate."""

import hashlib
import secrets
import threading
from typing import Any

from django.contrib.auth.hashers import BasePasswordHasher, PBKDF2PasswordHasher
from django.utils.crypto import constant_time_compare

from todo_mcp.core.errors import TooManyAttempts
from todo_mcp.greenlets import outside_the_gate

WAITING_MAX = 4  # hashes that wait for the one at work; each takes some 0.3 s of CPU
RANDOM = "sha256_random"

_one = threading.Lock()
_places = threading.BoundedSemaphore(1 + WAITING_MAX)


class PasswordHasher(PBKDF2PasswordHasher):
    """Django's, one at a time in each worker and without a place at the gate, so that guessing holds nobody up.

    Raises:
        TooManyAttempts: the queue is full.
    """

    def encode(self, password: Any, salt: Any, iterations: int | None = None) -> str:
        if not _places.acquire(blocking=False):
            raise TooManyAttempts(1)
        try:
            return outside_the_gate(lambda: self._encode_in_turn(password, salt, iterations))
        finally:
            _places.release()

    def _encode_in_turn(self, password: Any, salt: Any, iterations: int | None) -> str:
        with _one:
            return super().encode(password, salt, iterations)


class RandomSecretHasher(BasePasswordHasher):
    """For secrets that we made: nobody can guess those, so one SHA-256 is enough."""

    algorithm = RANDOM

    def salt(self) -> str:
        return secrets.token_hex(16)

    def encode(self, password: str, salt: str) -> str:
        return f"{self.algorithm}${salt}${hashlib.sha256(f'{salt}{password}'.encode()).hexdigest()}"

    def decode(self, encoded: str) -> dict[str, str]:
        algorithm, salt, hashed = encoded.split("$")
        return {"algorithm": algorithm, "salt": salt, "hash": hashed}

    def verify(self, password: str, encoded: str) -> bool:
        return constant_time_compare(encoded, self.encode(password, self.decode(encoded)["salt"]))

    def safe_summary(self, encoded: str) -> dict[Any, Any]:
        return {"algorithm": self.algorithm}

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Nothing: there is no slow work to make up for."""
