"""Guessing: how many wrong passwords and secrets an address, or a name, may send, counted in one worker.

``django-axes`` locks the pair of a name and an address. Beyond that an address has a limit over all names. A name has a
limit over all addresses, which slows attempts down and never locks the owner out: whoever comes from where the name has
signed in before neither waits for a turn nor stands behind strangers.
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

from todo_mcp.auth.account.places import Places, this_attempt
from todo_mcp.auth.rate_limit import HOUR, KEYS_MAX, MINUTE, attempts, client_address
from todo_mcp.core.errors import TooManyAttempts
from todo_mcp.postgres.greenlets import outside_the_gate

# Wrong passwords
ADDRESS_MAX, ADDRESS_SECONDS = 60, 15 * MINUTE
NAME_MAX = 10  # an hour, from all addresses; then the next ones wait
TURN_SECONDS = 2  # between two attempts for such a name
TURN_WAIT_MAX = 6  # seconds; an attempt that would wait longer gets 429
SLOWED_MAX = 8  # attempts that wait at once in a worker; one of a site
OLD_MAX = 10  # an hour, wrong old passwords of one who is signed in
KNOWN_DAYS = 30  # for which an address from which the name signed in is not slowed


class Turns:
    """When the next attempt for a name may be made. The names not seen for longest are forgotten first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str) -> float:
        """Seconds until the turn that was taken.

        Raises:
            TooManyAttempts: too many wait already; none was taken.
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
_slowed = Places(SLOWED_MAX, of_a_site=1)


class AttemptLimits(BaseBackend):
    """Before a password is checked: it lets nobody in, but makes guessers stop or wait.

    Raises:
        TooManyAttempts: this address has had its attempts, or too many already wait for this name.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> None:
        if request is None or username is None:
            return
        address = client_address(request)
        is_known = _has_signed_in(username, address)
        this_attempt.set(replace(this_attempt.get(), is_known=is_known))
        wait = attempts.wait("password", address, limit=ADDRESS_MAX, seconds=ADDRESS_SECONDS)
        if wait is not None:
            raise TooManyAttempts(wait)
        is_guessed = attempts.wait("password of", username, limit=NAME_MAX, seconds=HOUR) is not None
        if is_guessed and not is_known:
            _wait_for_turn(username)


class FailedAttempts(BaseBackend):
    """The last of Django's authentication backends: who comes as far as this had a wrong password."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> None:
        if request is not None and username is not None:
            attempts.add("password", client_address(request), limit=ADDRESS_MAX)
            attempts.add("password of", username, limit=NAME_MAX)


def _has_signed_in(username: str, address: str) -> bool:
    since = timezone.now() - timedelta(days=KNOWN_DAYS)
    known = AccessLog.objects.filter(username=username, ip_address=address, attempt_time__gt=since)
    return bool("\0" not in username and known.exists())


def _wait_for_turn(username: str) -> None:
    with _slowed.taken():
        wait = _turns.take(username)
        if wait:
            outside_the_gate(lambda: time.sleep(wait))


def check_old_password(user_id: str) -> None:
    """Before somebody who is signed in is asked for the old password.

    Raises:
        TooManyAttempts: it was wrong too often.
    """
    wait = attempts.wait("old password", user_id, limit=OLD_MAX, seconds=HOUR)
    if wait is not None:
        raise TooManyAttempts(wait)


def count_old_password(user_id: str) -> None:
    """It was wrong."""
    attempts.add("old password", user_id, limit=OLD_MAX)
