"""Limits on guessing: how many wrong passwords an address, or a user name, may send. Each worker counts for itself.

``django-axes`` locks one pair of a name and an address. This module adds two limits. An address has a limit over all
names. A name has a limit over all addresses, which slows attempts down but never locks the owner out.

An address is known for a name that has signed in from it before. A known address waits for no turn, and a few slots are
reserved for known addresses.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import replace
from datetime import timedelta
from typing import Any

from axes.models import AccessLog
from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest
from django.utils import timezone

from todo_mcp.auth.account.slots import Slots, request_source
from todo_mcp.auth.rate_limit import HOUR, KEYS_MAX, MINUTE, attempts, client_address
from todo_mcp.core.errors import TooManyAttempts
from todo_mcp.postgres.greenlets import outside_the_gate

# Wrong passwords
ADDRESS_MAX, ADDRESS_SECONDS = 60, 15 * MINUTE
NAME_MAX = 10  # an hour, from all addresses; further attempts for the name take turns
TURN_SECONDS = 2  # between two attempts for such a name
TURN_WAIT_MAX = 6  # seconds; an attempt that would wait longer gets 429
SLOWED_MAX = 8  # attempts that wait at the same time in a worker; one for each site
OLD_PASSWORD_MAX = 10  # an hour; wrong old passwords of a user who is signed in
KNOWN_DAYS = 30  # how long an address stays known after a sign-in


class Turns:
    """The time of the next attempt for each name. The names that were unused for longest are forgotten first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str) -> float:
        """Reserve the next turn for this name, and return the seconds until then.

        Raises:
            TooManyAttempts: the wait is longer than ``TURN_WAIT_MAX``; no turn is reserved.
        """
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next.pop(name, 0.0))
            wait = turn - now
            self._next[name] = turn if wait > TURN_WAIT_MAX else turn + TURN_SECONDS
            if len(self._next) > KEYS_MAX:
                self._next.popitem(last=False)
        if wait > TURN_WAIT_MAX:
            raise TooManyAttempts(TURN_SECONDS)
        return wait


_turns = Turns()
_slowed = Slots(SLOWED_MAX, per_site=1)


class AttemptLimits(BaseBackend):
    """An authentication backend that runs before Django's. It signs nobody in, but stops or delays guessing.

    Raises:
        TooManyAttempts: this address has used up its attempts, or too many attempts already wait for this name.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> None:
        if request is None or username is None:
            return
        address = client_address(request)
        is_known = _has_signed_in(username, address)
        request_source.set(replace(request_source.get(), is_known=is_known))
        wait = attempts.seconds_until_allowed("password", address, limit=ADDRESS_MAX, seconds=ADDRESS_SECONDS)
        if wait is not None:
            raise TooManyAttempts(wait)
        wait = attempts.seconds_until_allowed("password of", username, limit=NAME_MAX, seconds=HOUR)
        if wait is not None and not is_known:
            _wait_for_turn(username)


class FailedAttempts(BaseBackend):
    """The last authentication backend. It is reached only after a wrong password, and counts it."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> None:
        if request is not None and username is not None:
            attempts.add("password", client_address(request), limit=ADDRESS_MAX)
            attempts.add("password of", username, limit=NAME_MAX)


def _has_signed_in(username: str, address: str) -> bool:
    since = timezone.now() - timedelta(days=KNOWN_DAYS)
    sign_ins = AccessLog.objects.filter(username=username, ip_address=address, attempt_time__gt=since)
    return bool("\0" not in username and sign_ins.exists())


def _wait_for_turn(username: str) -> None:
    with _slowed.hold():
        wait = _turns.take(username)
        if wait:
            outside_the_gate(lambda: time.sleep(wait))


def check_old_password(user_id: str) -> None:
    """Check the limit before a signed-in user's old password is checked.

    Raises:
        TooManyAttempts: the user has sent ``OLD_PASSWORD_MAX`` wrong old passwords within an hour.
    """
    wait = attempts.seconds_until_allowed("old password", user_id, limit=OLD_PASSWORD_MAX, seconds=HOUR)
    if wait is not None:
        raise TooManyAttempts(wait)


def count_old_password(user_id: str) -> None:
    """Count one wrong old password of this user."""
    attempts.add("old password", user_id, limit=OLD_PASSWORD_MAX)
