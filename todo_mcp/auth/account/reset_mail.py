"""Mail for forgotten passwords: a queue in the table ``reset_requests``.

The request only stores the address that was typed, so its answer and its time tell nobody whether the address is known.
Each worker sends what is due (``transports/mailing.py``). A row is removed once its mail is sent, so a mail survives a
restart or ``kill -9``, and may then arrive twice.
"""

import logging
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from operator import or_

from django.conf import settings
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.tokens import default_token_generator
from django.core import mail
from django.db import transaction
from django.db.models import Q, QuerySet
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from todo_mcp.auth.models import ResetRequest
from todo_mcp.postgres.purging import Purge
from todo_mcp.users.models import User

logger = logging.getLogger(__name__)

BATCH = 100  # rows looked at in one transaction
QUEUE_MAX = 1000  # rows; a few more where several requests look at the same moment
# After each attempt, how long the row is left alone. The first is longer than sending takes: a mail server has
# EMAIL_TIMEOUT, 5 s, for each of about 12 replies. So no other worker sends a row that is being sent.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (2, 5, 10, 20, 20))
GIVE_UP_AFTER = timedelta(hours=1)  # the person has asked again, or has given up too
KEPT = timedelta(days=1)

_listeners: set[Callable[[], object]] = set()


@dataclass(frozen=True)
class Letter:
    """A claimed row and its mails: one for each account with that address."""

    pk: int
    attempt: int
    mails: list[mail.EmailMessage]

    @property
    def is_last_attempt(self) -> bool:
        return self.attempt == len(WAITS)


@dataclass(frozen=True)
class Look:
    """What was found: a letter to send, and whether to look again at once."""

    letter: Letter | None = None
    is_more: bool = False


def ask_for_mail(email: str) -> None:
    """Store that somebody wants a new password for the account with this address, whether there is one or not.

    One that waits already is enough. A full queue drops it, and only the log says so.
    """
    if ResetRequest.objects.all()[:QUEUE_MAX].count() >= QUEUE_MAX:
        logger.warning("mail for a forgotten password dropped: the queue is full", extra={"waiting": QUEUE_MAX})
        return
    ResetRequest.objects.bulk_create([ResetRequest(email=email)], ignore_conflicts=True)
    transaction.on_commit(_tell_listeners)


@contextmanager
def listening(listener: Callable[[], object]) -> Iterator[None]:
    """Within this context, call ``listener``, in any thread, whenever this process has stored a request."""
    _listeners.add(listener)
    try:
        yield
    finally:
        _listeners.discard(listener)


def next_letter(settled: Collection[int] = (), *, claim: bool = True) -> Look:
    """Remove the rows that are settled; then, unless told not to, look for the next one that is due.

    A claimed row is due again later, in case this worker never settles it.
    """
    if settled:
        ResetRequest.objects.filter(pk__in=settled).delete()
    return _look() if claim else Look()


def send(mails: list[mail.EmailMessage]) -> None:
    """Send through the configured backend, all in one connection.

    Raises:
        Exception: whatever the backend raises; some of the mails may have been sent.
    """
    mail.get_connection().send_messages(mails)


def warn_given_up(attempts: int) -> None:
    logger.warning("mail for a forgotten password given up", extra={"attempts": attempts})


def reset_requests_of(user: User) -> QuerySet[ResetRequest]:
    """What waits under the user's address."""
    return ResetRequest.objects.filter(email__iexact=user.email) if user.email else ResetRequest.objects.none()


@transaction.atomic
def _look() -> Look:
    """Claim the row that has been due for longest and belongs to somebody. What another worker holds is skipped.

    Of the ``BATCH`` rows that are due, those of addresses that nobody has and those past their time are removed.
    """
    due = ResetRequest.objects.filter(due_at__lte=timezone.now()).order_by("due_at", "pk")
    rows = list(due.select_for_update(skip_locked=True)[:BATCH])
    known = _known(row.email for row in rows)
    wanted, dropped = [], []
    for row in rows:
        if row.attempts >= len(WAITS) or row.asked_at < timezone.now() - GIVE_UP_AFTER:
            warn_given_up(row.attempts)
            dropped.append(row.pk)
        elif _folded(row.email) in known:
            wanted.append(row)
        else:
            dropped.append(row.pk)
    if dropped:
        ResetRequest.objects.filter(pk__in=dropped).delete()
    if not wanted:
        return Look(is_more=len(rows) == BATCH)
    row = wanted[0]
    mails = _mails(row.email)
    if not mails:  # of somebody who may not set a password
        row.delete()
        return Look(is_more=True)
    row.due_at = timezone.now() + WAITS[row.attempts]
    row.attempts += 1
    row.save(update_fields=["due_at", "attempts"])
    return Look(Letter(row.pk, row.attempts, mails), is_more=True)


def _known(emails: Iterable[str]) -> set[str]:
    """Those of the addresses that a user has, folded. One statement, by the index of ``upper(email)``."""
    conditions = [Q(email__iexact=email) for email in emails]
    if not conditions:
        return set()
    found = User.objects.filter(reduce(or_, conditions)).values_list("email", flat=True)
    return {_folded(email) for email in found}


def _folded(email: str) -> str:
    """As Django compares addresses (Unicode Technical Report 36, section 2.11.2)."""
    return unicodedata.normalize("NFKC", email).casefold()


def _mails(email: str) -> list[mail.EmailMessage]:
    """A mail with a fresh link to each active account that has this address and a password."""
    return [_mail(user) for user in PasswordResetForm().get_users(email)]


def _mail(user: User) -> mail.EmailMessage:
    context = {
        "user": user,
        "uid": urlsafe_base64_encode(force_bytes(user.pk)),
        "token": default_token_generator.make_token(user),
        "public_url": settings.PUBLIC_URL,  # not the request's host, which a stranger chooses
    }
    subject = render_to_string("account/reset_subject.txt").strip()
    return mail.EmailMessage(subject, render_to_string("account/reset_email.txt", context), to=[user.email])


def _tell_listeners() -> None:
    for listener in tuple(_listeners):
        listener()


def _old_requests() -> QuerySet[ResetRequest]:
    return ResetRequest.objects.filter(asked_at__lt=timezone.now() - KEPT)


OLD_RESET_REQUESTS = Purge(
    "old requests for a new password", _old_requests, lambda ids: ResetRequest.objects.filter(pk__in=ids).delete()
)
