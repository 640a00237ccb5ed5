"""Families of refresh tokens: all refresh tokens of one consent.

Each use of a refresh token issues a successor. A client may use a token again, because an answer can get lost and two
of its processes can share one token. Each use issues a further successor, and all of them stay valid. The first use
of one successor shows that the client has it. After that its predecessor is a replay, and a replay ends the family.

A *live* token has ``revoked`` NULL. Whoever changes a family locks it first, so two changes never interleave. The lock
is an advisory one of PostgreSQL: locks of the rows could deadlock, because each change touches other rows.
"""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from todo_mcp.auth.models import Successor
from todo_mcp.auth.revocation import Cause, record_revocation

LIVE_MAX = 1000  # live tokens of a family; a further one removes the oldest unused one


def is_renewable(live: RefreshToken) -> bool:
    """Whether its access token exists and ended less than one refresh token lifetime ago."""
    if live.access_token is None:
        return False
    lifetime = timedelta(seconds=settings.OAUTH2_PROVIDER["REFRESH_TOKEN_EXPIRE_SECONDS"])
    return bool(live.access_token.expires + lifetime > timezone.now())


def lock_family(family: UUID) -> None:
    """Wait until no other transaction changes this family. The lock ends with the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(family.bytes[:8], signed=True)])


def is_live(token: RefreshToken) -> bool:
    """Whether the token may be used. The family must be locked."""
    return bool(RefreshToken.objects.filter(pk=token.pk, revoked=None).exists())


def add_successor(successor: RefreshToken, *, of: RefreshToken) -> None:
    """Record a use of the token ``of``. The family must be locked.

    The client has shown that it has this token. So the token before it may not be used any more.
    """
    RefreshToken.objects.filter(successors__refresh_token=of, revoked=None).update(revoked=timezone.now())
    Successor.objects.create(refresh_token=successor, predecessor=of)
    RefreshToken.objects.filter(pk=successor.pk).update(created=of.created)  # the time of the consent
    live = RefreshToken.objects.filter(token_family=of.token_family, revoked=None)
    if live.count() > LIVE_MAX:
        pk, access_token = live.filter(successors=None).order_by("pk").values_list("pk", "access_token")[0]
        # Removed, not revoked: the use of a revoked token is a replay.
        RefreshToken.objects.filter(pk=pk).delete()
        AccessToken.objects.filter(pk=access_token).delete()


def end_family(family: UUID | None, cause: Cause) -> None:
    """Revoke all refresh tokens of the family and delete its access tokens, with effect from the next call.

    A record of each usable access token stays.
    """
    if family is not None:
        end_families([family], cause)


def end_families(families: Collection[UUID], cause: Cause) -> None:
    """Do what ``end_family`` does for these families, in one transaction and with few statements."""
    with transaction.atomic():
        for family in sorted(families):  # in a fixed order, against deadlocks
            lock_family(family)
        tokens = AccessToken.objects.filter(refresh_token__token_family__in=families)
        record_revocation(tokens, cause)
        ids, now = list(tokens.values_list("pk", flat=True)), timezone.now()
        RefreshToken.objects.filter(token_family__in=families, revoked=None).update(revoked=now, updated=now)
        AccessToken.objects.filter(pk__in=ids).delete()
