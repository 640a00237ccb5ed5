"""Whose share of the gate's places a request uses: that of the user whose data it is about.

This is known before the request enters, without the database. It shares places, and admits nobody.
"""

from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError

from todo_mcp.auth.authentication import remembered_principal
from todo_mcp.auth.jwt.decoding import looks_like_jwt
from todo_mcp.auth.jwt.tokens import claimed_subject
from todo_mcp.calls.bearer import bearer
from todo_mcp.calls.retries import TIMED_OUT
from todo_mcp.core.errors import Busy
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.health.causes import sqlstate_of
from todo_mcp.postgres.places import Owner

# All requests whose token the worker does not know. Strangers send them too, so together they have one share.
UNKNOWN = ("unknown token",)

Target = Callable[[], str | None]  # returns the user whom the request names


async def owner_of_call(gate: DatabaseGate, token: str, target: Target) -> Owner:
    """The owner of a call. A token that this worker does not know is looked up first, in the share of such tokens.

    Raises:
        Unauthenticated: the token is not valid.
        Busy: too many unknown tokens are being looked up, or the database takes too long for this one.
    """
    owner = _known_owner(token, target)
    if owner is None and not looks_like_jwt(token):
        try:
            await gate.on_loop(lambda: bearer(token)(None), owner=UNKNOWN)
        except DatabaseError as error:
            if sqlstate_of(error) in TIMED_OUT:
                raise Busy from error  # the call would wait as long once more
            return UNKNOWN  # the call meets the same error, and reports it
        owner = _known_owner(token, target)
    return UNKNOWN if owner is None else owner


def owner_of_token(token: str) -> Owner:
    """The owner of a request that calls no operation."""
    return _known_owner(token, lambda: None) or UNKNOWN


def owner_of_site(site: str) -> Owner:
    """The owner of a page, by the network that asks for it: a page has no token."""
    return ("site", site)


def _known_owner(token: str, target: Target) -> Owner:
    """None if the worker does not know the token.

    A JWT counts for the subject that it claims, if the worker knows that subject. If it lies, it leaves its place
    before any statement.
    """
    if looks_like_jwt(token):
        if (subject := claimed_subject(token)) is None:
            return None
        is_service = any(subject in issuer.act_as_clients for issuer in settings.JWT_ISSUERS)
        return (target() or ("service", subject)) if is_service else subject
    principal = remembered_principal(token)
    if principal is None:
        return None
    return principal.user_id or target() or ("service", principal.token_name)
