"""Mail for forgotten passwords: a queue in the table ``reset_requests``.

A web request only stores the address as it was typed. So neither the answer nor its timing shows whether an account has
this address. Each worker sends due mails (``mailing.py``). A row is deleted after its mail is sent, so a mail survives
a restart or ``kill -9``, but may then arrive twice.
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
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from todo_mcp.auth.models import ResetRequest
from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.users.models import User

logger = logging.getLogger(__name__)

BATCH = 100  # rows checked in one transaction
QUEUE_MAX = 1000  # rows; concurrent requests may exceed it by a few
# How long a row rests after each attempt. The first delay is longer than sending can take: a mail server has
# EMAIL_TIMEOUT, 5 s, for each of about 12 replies. So no other worker claims a row while its mail is being sent.
RETRY_DELAYS = tuple(timedelta(minutes=minutes) for minutes in (2, 5, 10, 20, 20))
GIVE_UP_AFTER = timedelta(hours=1)  # by then the user has asked again or given up
RETENTION = timedelta(days=1)

_listeners: set[Callable[[], object]] = set()


@dataclass(frozen=True)
class ClaimedRequest:
    """A row that this worker has claimed, with its mails: one for each account with that address."""

    pk: int
    attempt: int
    mails: list[mail.EmailMessage]

    @property
    def is_last_attempt(self) -> bool:
        return self.attempt == len(RETRY_DELAYS)


@dataclass(frozen=True)
class ClaimResult:
    """The result of one step: a request to send, if any, and whether to check again at once."""

    request: ClaimedRequest | None = None
    has_more: bool = False


def ask_for_mail(email: str) -> None:
    """Queue a mail for a forgotten password, whether or not an account has this address.

    An address that already waits is not queued again. If the queue is full, the request is dropped with a log entry.
    """
    if ResetRequest.objects.all()[:QUEUE_MAX].count() >= QUEUE_MAX:
        logger.warning("mail for a forgotten password dropped: the queue is full", extra={"waiting": QUEUE_MAX})
        return
    ResetRequest.objects.bulk_create([ResetRequest(email=email)], ignore_conflicts=True)
    transaction.on_commit(_notify_listeners)


@contextmanager
def listening(listener: Callable[[], object]) -> Iterator[None]:
    """Within this context, call ``listener`` after this process has stored a request. Any thread may call it."""
    _listeners.add(listener)
    try:
        yield
    finally:
        _listeners.discard(listener)


def claim_next_request(finished_ids: Collection[int] = (), *, claim: bool = True) -> ClaimResult:
    """Delete the finished rows. Then claim the next due row, unless ``claim`` is False.

    A claimed row becomes due again later, in case this worker never finishes it.
    """
    if finished_ids:
        ResetRequest.objects.filter(pk__in=finished_ids).delete()
    return _claim() if claim else ClaimResult()


def send(mails: list[mail.EmailMessage]) -> None:
    """Send the mails through the configured backend, over one network connection.

    Raises:
        Exception: any error of the backend; some of the mails may have been sent.
    """
    mail.get_connection().send_messages(mails)


def warn_given_up(attempts: int) -> None:
    logger.warning("mail for a forgotten password given up", extra={"attempts": attempts})


def reset_requests_of(user: User) -> QuerySet[ResetRequest]:
    """The waiting requests with the user's address."""
    return ResetRequest.objects.filter(email__iexact=user.email) if user.email else ResetRequest.objects.none()


@transaction.atomic
def _claim() -> ClaimResult:
    """Claim the row that has been due for longest and whose address belongs to a user.

    Rows that another worker has locked are skipped. Up to ``BATCH`` due rows are checked. Of these, rows without a user
    and rows that are too old or have had all their attempts are deleted.
    """
    due = ResetRequest.objects.filter(due_at__lte=timezone.now()).order_by("due_at", "pk")
    rows = list(due.select_for_update(skip_locked=True)[:BATCH])
    user_emails = _emails_of_users(row.email for row in rows)
    rows_with_user, ids_to_delete = [], []
    for row in rows:
        if row.attempts >= len(RETRY_DELAYS) or row.asked_at < timezone.now() - GIVE_UP_AFTER:
            warn_given_up(row.attempts)
            ids_to_delete.append(row.pk)
        elif _fold(row.email) in user_emails:
            rows_with_user.append(row)
        else:
            ids_to_delete.append(row.pk)
    if ids_to_delete:
        ResetRequest.objects.filter(pk__in=ids_to_delete).delete()
    if not rows_with_user:
        return ClaimResult(has_more=len(rows) == BATCH)
    row = rows_with_user[0]
    mails = _mails(row.email)
    if not mails:  # every account with this address is inactive or has no password
        row.delete()
        return ClaimResult(has_more=True)
    row.due_at = timezone.now() + RETRY_DELAYS[row.attempts]
    row.attempts += 1
    row.save(update_fields=["due_at", "attempts"])
    return ClaimResult(ClaimedRequest(row.pk, row.attempts, mails), has_more=True)


def _emails_of_users(emails: Iterable[str]) -> set[str]:
    """The addresses that belong to a user, folded. One statement, which uses the index on ``upper(email)``."""
    conditions = [Q(email__iexact=email) for email in emails]
    if not conditions:
        return set()
    user_emails = User.objects.filter(reduce(or_, conditions)).values_list("email", flat=True)
    return {_fold(email) for email in user_emails}


def _fold(email: str) -> str:
    """Normalise an address as Django does to compare it (Unicode Technical Report 36, section 2.11.2)."""
    return unicodedata.normalize("NFKC", email).casefold()


def _mails(email: str) -> list[mail.EmailMessage]:
    """One mail with a new link for each active account that has this address and a password."""
    return [_mail(user) for user in PasswordResetForm().get_users(email)]


def link_to_choose_password(user: User) -> str:
    """The address of a page where the user chooses a password. It works once, within ``PASSWORD_RESET_TIMEOUT``."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("account:new_password", args=[uid, default_token_generator.make_token(user)])
    return f"{settings.PUBLIC_URL}{path}"  # not the Host header: a stranger can choose it


def _mail(user: User) -> mail.EmailMessage:
    context = {"user": user, "public_url": settings.PUBLIC_URL, "link": link_to_choose_password(user)}
    subject = render_to_string("account/reset_subject.txt").strip()
    return mail.EmailMessage(subject, render_to_string("account/reset_email.txt", context), to=[user.email])


def _notify_listeners() -> None:
    for listener in tuple(_listeners):
        listener()


def _old_requests() -> QuerySet[ResetRequest]:
    return ResetRequest.objects.filter(asked_at__lt=timezone.now() - RETENTION)


OLD_RESET_REQUESTS = Purge(
    "old requests for a new password", _old_requests, lambda ids: ResetRequest.objects.filter(pk__in=ids).delete()
)
