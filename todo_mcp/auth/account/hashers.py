"""How passwords and secrets are hashed: slowly where people choose them, one at a time, and never at the gate."""

import hashlib
import secrets
import threading
from typing import Any

from django.contrib.auth.hashers import BasePasswordHasher, PBKDF2PasswordHasher
from django.utils.crypto import constant_time_compare

from todo_mcp.auth.account.places import Places
from todo_mcp.postgres.greenlets import outside_the_gate

QUEUE_MAX = 8  # hashes, the one at work included; each takes some 0.3 s of CPU
OF_A_SITE = 3  # of them
RANDOM = "sha256_random"

_one = threading.Lock()
_places = Places(QUEUE_MAX, of_a_site=OF_A_SITE)


class PasswordHasher(PBKDF2PasswordHasher):
    """Django's, one at a time in each worker and without a place at the gate, so that guessing holds nobody up.

    Raises:
        TooManyAttempts: the queue is full, or this site has its part of it.
    """

    def encode(self, password: Any, salt: Any, iterations: int | None = None) -> str:
        with _places.taken():
            return outside_the_gate(lambda: self._encode_in_turn(password, salt, iterations))

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
