"""Tokens that end before their time: which ones are usable, who revoked them, and the record that stays."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application

from todo_mcp.auth.models import RevokedToken, Successor
from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.statistics.token_use import last_used

RETENTION = timedelta(days=365)  # of a record: a leaked value may turn up late

By = RevokedToken.By


@dataclass(frozen=True)
class Cause:
    """Who revoked tokens, and why. ``operator_id`` is set if an operator did it in the admin."""

    by: RevokedToken.By
    reason: str = ""
    operator_id: str | None = None


def by_operator(operator_id: str, reason: str = "") -> Cause:
    """The cause of a revocation in the admin."""
    return Cause(By.OPERATOR, reason.replace("\0", "")[: RevokedToken.REASON_MAX], operator_id)


def is_usable() -> Q:
    """A filter for access tokens that are valid, and for the last ones that a client can still renew."""
    was_renewed = Exists(Successor.objects.filter(predecessor__access_token=OuterRef("pk")))
    renewable = Q(refresh_token__isnull=False, refresh_token__revoked=None) & Q(~was_renewed)
    return Q(expires__gt=timezone.now()) | renewable


def known_tokens(ids: Iterable[int]) -> dict[int, bool]:
    """Those of these tokens that have a page, revoked ones too, and whether each is a service's. At most one query."""
    if not (wanted := set(ids)):
        return {}
    there, revoked = (
        model._default_manager.filter(pk__in=wanted).order_by().values_list("pk", "user_id")
        for model in (AccessToken, RevokedToken)
    )
    return {pk: user_id is None for pk, user_id in there.union(revoked)}


def source_of(token: AccessToken) -> str:
    """Who decided that there is this token: an identity provider (its address), the person, or an operator."""
    if assertion := getattr(token, "assertion", None):
        return str(assertion.issuer)
    is_registered = token.application and token.application.registration_source != Application.RegistrationSource.MANUAL
    return "consent" if is_registered else "an operator"


def record_revocation(tokens: QuerySet[Any], cause: Cause) -> None:
    """Keep a record of the usable ones of these tokens. Call it in the transaction that deletes them."""
    rows = list(tokens.filter(is_usable()).select_related("application", "assertion", "refresh_token"))
    use_times = last_used(row.pk for row in rows)
    RevokedToken.objects.bulk_create(
        (_record(row, cause, last_used_at=use_times.get(row.pk)) for row in rows),
        ignore_conflicts=True,  # another transaction revoked it first
    )


def _record(token: AccessToken, cause: Cause, **use: Any) -> RevokedToken:
    refresh_token = getattr(token, "refresh_token", None)
    return RevokedToken(
        token_id=token.pk,
        token_checksum=token.token_checksum,
        refresh_checksum=refresh_token.token_checksum if refresh_token else "",
        token_family=refresh_token.token_family if refresh_token else None,
        user_id=token.user_id,
        application_id=token.application_id,
        name=token.application.name if token.application else "",
        scope=token.scope,
        source=source_of(token),
        created=token.created,
        expires=token.expires,
        revoked_by=cause.by,
        operator_id=cause.operator_id,
        reason=cause.reason,
        **use,
    )


def _old_records() -> QuerySet[RevokedToken]:
    return RevokedToken.objects.filter(revoked_at__lt=timezone.now() - RETENTION)


OLD_RECORDS = Purge(
    "records of revoked tokens", _old_records, lambda ids: RevokedToken.objects.filter(pk__in=ids).delete()
)
