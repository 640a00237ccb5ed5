"""Password and secret hashing. The slow hash of passwords runs one at a time and holds no place at the gate."""

import hashlib
import secrets
import threading
from typing import Any

from django.contrib.auth.hashers import BasePasswordHasher, PBKDF2PasswordHasher
from django.utils.crypto import constant_time_compare

from todo_mcp.auth.account.slots import Slots
from todo_mcp.postgres.greenlets import outside_the_gate

QUEUE_MAX = 8  # hashes in the queue, with the running one; each takes about 0.3 s of CPU
PER_SITE_MAX = 3  # hashes of one site in the queue
RANDOM = "sha256_random"

_hash_lock = threading.Lock()
_queue = Slots(QUEUE_MAX, per_site=PER_SITE_MAX)


class PasswordHasher(PBKDF2PasswordHasher):
    """Django's PBKDF2 hasher, one hash at a time in each worker and outside the gate, so guessing delays no calls.

    Raises:
        TooManyAttempts: the queue is full, or this site has ``PER_SITE_MAX`` hashes in it.
    """

    def encode(self, password: Any, salt: Any, iterations: int | None = None) -> str:
        with _queue.hold():
            return outside_the_gate(lambda: self._encode_in_turn(password, salt, iterations))

    def _encode_in_turn(self, password: Any, salt: Any, iterations: int | None) -> str:
        with _hash_lock:
            return super().encode(password, salt, iterations)


class RandomSecretHasher(BasePasswordHasher):
    """For secrets that this server generates: they cannot be guessed, so one SHA-256 is enough."""

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
        """Do nothing: this algorithm has no work factor to equalise."""
