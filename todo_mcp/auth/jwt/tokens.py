"""All checks of JWTs from configured issuers as access tokens (RFC 9068, RFC 8693)."""

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings

from todo_mcp.auth.jwt import key_set
from todo_mcp.auth.jwt.decoding import (
    check_lifetime,
    decode,
    json_part,
    parse_unverified,
    pending_keys,
    refusals,
    type_of,
)
from todo_mcp.auth.jwt.issuers import JwtIssuer
from todo_mcp.auth.remembered_tokens import ZONES_MAX, Remembered
from todo_mcp.auth.tokens import ACT_AS, TOKEN_MAX
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.token_rules import TokenRule

CLIENT_NAME_MAX = 255
DELEGATED_LIFETIME_MAX = 300  # seconds

ACCESS_TYPE = "at+jwt"  # RFC 9068, section 2.1; no other kind of token has this type
TYPES = frozenset({"jwt", ACCESS_TYPE})  # RFC 7519, section 5.1
# Claims of ID tokens, logout tokens and sender-constrained tokens. These are not bearer access tokens.
FOREIGN_CLAIMS = frozenset({"at_hash", "c_hash", "s_hash", "events", "cnf"})
# Claims in which Keycloak, Amazon Cognito and others, and SimpleJWT name the kind of a token, and their access tokens.
KIND_CLAIMS = ("typ", "token_use", "token_type")
ACCESS_KINDS = frozenset({"access", "access_token", "bearer", "jwt", ACCESS_TYPE, "sliding"})
SCOPE_CLAIMS = ("scope", "scp")  # RFC 8693, section 4.2; Microsoft and Okta use scp


# Subjects of users' tokens, and tokens of services, that this worker has verified before. It proves nothing later.
_seen: Remembered[None] = Remembered(ZONES_MAX)


@dataclass(frozen=True)
class Claims:
    """The claims of a valid token.

    ``client`` names the party that presents it: the actor of a delegated token, else the client, else the issuer.
    ``is_service`` is True for a client's own token that may act for any user. ``time_zone`` is the claim ``zoneinfo``
    (OpenID Connect Core 1.0, section 5.1), unchecked; empty if there is none.
    """

    issuer: JwtIssuer
    subject: str
    client: str
    scopes: frozenset[str]
    is_service: bool
    time_zone: str


async def prepare_keys(token: str) -> None:
    """Wait until the keys for this JWT are stored. Call this before taking a place at the gate.

    An invalid token is not reported here; ``verify`` refuses it.
    """
    fetch = pending_keys(token, TYPES)
    if fetch is not None:
        await asyncio.wait({asyncio.wrap_future(fetch)}, timeout=key_set.TIMEOUT)


def claimed_subject(token: str) -> str | None:
    """The subject that the token claims, before anything is verified.

    None if this worker has not verified a token of this user before, or this token of a service. Otherwise strangers
    could invent any number of subjects.
    """
    try:
        subject = _subject(token.split(".")[1])
    except Unauthenticated:
        return None
    return subject if subject in _seen or token in _seen else None


@lru_cache(256)
def _subject(payload: str) -> str | None:
    subject = json_part(payload).get("sub") if len(payload) <= TOKEN_MAX else None
    return subject if isinstance(subject, str) else None


def verify(token: str) -> Claims:
    """Verify a token and return its claims.

    Raises:
        Unauthenticated: the token breaks a rule. The error says which only to the log.
        KeysUnavailable: the issuer's keys could not be fetched.
    """
    header, issuer = parse_unverified(token)
    with refusals(issuer):
        if not issuer.audience:  # only its identity assertions are accepted
            raise Unauthenticated(TokenRule.JWT_AUDIENCE)
        claims = decode(token, header, issuer, audience=issuer.audience, types=TYPES)
        longest = min(issuer.max_lifetime, DELEGATED_LIFETIME_MAX) if "act" in claims else issuer.max_lifetime
        check_lifetime(claims, longest)
        _check_purpose(header, claims)
        valid = _to_claims(claims, issuer)
    _seen.add(token if valid.is_service else valid.subject, None)
    return valid


def _check_purpose(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Refuse every token that is no access token (RFC 8725, section 3.12).

    An ID token is signed with the same key. Its ``aud`` is our audience if an operator configured the id of a client.
    Then ``nonce`` may be its only mark. So a token with ``nonce`` must say that it is an access token: by the type
    ``at+jwt`` (RFC 9068, section 2.1), or by the claim ``typ`` with the value ``Bearer``, as in Keycloak.

    The type ``JWT`` says nothing, because ID tokens have it too. A ``nonce`` in the header is ignored: Microsoft puts
    it into access tokens for its own services, whose signature does not verify here.
    """
    kinds = [claims[name] for name in KIND_CLAIMS if name in claims]
    if not all(isinstance(kind, str) and kind.lower() in ACCESS_KINDS for kind in kinds):
        raise Unauthenticated(TokenRule.JWT_PURPOSE)
    if FOREIGN_CLAIMS & claims.keys() or claims.get("type") == "refresh":  # Flask-JWT-Extended has type
        raise Unauthenticated(TokenRule.JWT_PURPOSE)
    names_itself = type_of(header) == ACCESS_TYPE or str(claims.get("typ")).lower() == "bearer"
    if "nonce" in claims and not names_itself:
        raise Unauthenticated(TokenRule.JWT_PURPOSE)


def _to_claims(claims: dict[str, Any], issuer: JwtIssuer) -> Claims:
    client = claims.get("client_id", claims.get("azp", ""))
    act = claims.get("act", {"sub": client})  # RFC 8693, section 4.1
    actor = act.get("sub") if isinstance(act, dict) else None
    if not isinstance(client, str) or not isinstance(actor, str) or ("act" in claims and not actor):
        raise Unauthenticated(TokenRule.JWT_CLAIMS)
    if not (client + actor).isprintable() or len(actor) > CLIENT_NAME_MAX:
        raise Unauthenticated(TokenRule.JWT_CLAIMS)  # it is stored with every version of a task
    # In a client's own token sub is the client (RFC 9068, section 2.2). It may act for others; a user's token may not.
    is_service = client in issuer.act_as_clients and claims["sub"] == client and "act" not in claims
    scopes = scopes_of(claims, issuer) - {ACT_AS} | ({ACT_AS} if is_service else set())
    zone = claims.get("zoneinfo")
    time_zone = zone if isinstance(zone, str) else ""
    return Claims(issuer, claims["sub"], actor or issuer.issuer, frozenset(scopes), is_service, time_zone)


def scopes_of(claims: dict[str, Any], issuer: JwtIssuer) -> set[str]:
    """The scopes of this server that the claims name. Without such a claim, those of the issuer's configuration."""
    claim = next((claims[name] for name in SCOPE_CLAIMS if name in claims), None)
    if claim is None:
        return set(issuer.scopes)
    names = claim.split() if isinstance(claim, str) else claim
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Unauthenticated(TokenRule.JWT_CLAIMS)
    return set(names) & set(settings.SCOPES)
