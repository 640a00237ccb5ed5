"""All checks of JWTs from configured issuers as access tokens (RFC 7519, RFC 8725, RFC 9068, RFC 8693)."""

import asyncio
import base64
import binascii
import math
from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings

from todo_mcp.auth.jwt import key_set
from todo_mcp.auth.jwt.issuers import JwtIssuer
from todo_mcp.auth.tokens import ACT_AS, TOKEN_MAX
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.strict_json import BadJson, parse

# Seconds
LIFETIME_MAX = 3600
CLIENT_NAME_MAX = 255
DELEGATED_LIFETIME_MAX = 300
LEEWAY = 30

REQUIRED = ["exp", "iat", "sub", "aud", "iss"]
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})  # RFC 7519, section 5.1; RFC 9068, section 2.1
# Claims of ID tokens, logout tokens and sender-constrained tokens. These are not bearer access tokens.
FOREIGN_CLAIMS = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events", "cnf"})
SCOPE_CLAIMS = ("scope", "scp")  # RFC 8693, section 4.2; Microsoft and Okta use scp


@dataclass(frozen=True)
class Claims:
    """The claims of a valid token.

    ``client`` names the party that presents it: the actor of a delegated token, else the client, else the issuer.
    ``is_service`` is True for a client's own token that may act for any user.
    """

    issuer: JwtIssuer
    subject: str
    client: str
    scopes: frozenset[str]
    is_service: bool


def looks_like_jwt(token: str) -> bool:
    """Whether the token has the three parts of a signed JWT (RFC 7515, section 3.1)."""
    return token.count(".") == 2


async def prepare_keys(token: str) -> None:
    """Wait until the keys for this JWT are stored. Call this before taking a place at the gate.

    An invalid token is not reported here; ``verify`` refuses it.
    """
    if not looks_like_jwt(token) or len(token) > TOKEN_MAX or not token.isascii():
        return
    try:
        header, issuer = _parse_unverified(token)
        fetch = issuer.fetch(header)
    except (LookupError, ValueError, TypeError):
        return
    if fetch is not None:
        await asyncio.wait({asyncio.wrap_future(fetch)}, timeout=key_set.TIMEOUT)


def verify(token: str) -> Claims:
    """Verify a token and return its claims.

    Raises:
        Unauthenticated: the token breaks a rule. The error does not say which.
        KeysUnavailable: the issuer's keys could not be fetched.
    """
    try:
        header, issuer = _parse_unverified(token)
        claims = jwt.decode(
            token,
            issuer.key(header),
            algorithms=list(issuer.algorithms),
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=LEEWAY,
            options={"require": REQUIRED, "enforce_minimum_key_length": True},
        )
        _check_claims(claims)
        return _to_claims(claims, issuer)
    except (jwt.PyJWTError, ArithmeticError, LookupError, ValueError, TypeError) as error:
        raise Unauthenticated from error


def _parse_unverified(token: str) -> tuple[dict[str, Any], JwtIssuer]:
    """The header, and the issuer that the token names. Neither is verified yet."""
    header, unverified = (_json_part(part) for part in token.split(".")[:2])
    issuer = _issuer(unverified.get("iss"))
    _check_header(header, issuer)
    return header, issuer


def _json_part(part: str) -> dict[str, Any]:
    """Decode one part of the token to an object. A repeated key is an error here; PyJWT would take the last value."""
    try:
        value = parse(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (BadJson, binascii.Error) as error:
        raise ValueError("malformed") from error
    if not isinstance(value, dict):
        raise ValueError("malformed")
    return value


def _issuer(name: Any) -> JwtIssuer:
    for issuer in settings.JWT_ISSUERS:
        if issuer.issuer == name:
            match: JwtIssuer = issuer
            return match
    raise ValueError("unknown issuer")


def _check_header(header: dict[str, Any], issuer: JwtIssuer) -> None:
    if header.get("alg") not in issuer.algorithms:
        raise ValueError("another algorithm")
    if "crit" in header or "b64" in header:
        raise ValueError("an unknown extension")  # RFC 7515, section 4.1.11; RFC 7797
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise ValueError("another kind of token")


def _check_claims(claims: dict[str, Any]) -> None:
    """Check what PyJWT does not: types, lifetime, and tokens that are not access tokens."""
    for name in ("exp", "iat", "nbf"):
        if name in claims and (isinstance(claims[name], bool) or not isinstance(claims[name], (int, float))):
            raise ValueError("a time must be a number")
        if not math.isfinite(claims.get(name, 0)):
            raise ValueError("a time must be finite")
    longest = DELEGATED_LIFETIME_MAX if "act" in claims else LIFETIME_MAX
    if not 0 < claims["exp"] - claims["iat"] <= longest:
        raise ValueError("lives too long")
    if FOREIGN_CLAIMS & claims.keys() or claims.get("token_use", "access") != "access":
        raise ValueError("made for another purpose")
    if not claims["sub"] or not claims["sub"].isprintable():
        raise ValueError("no subject")


def _to_claims(claims: dict[str, Any], issuer: JwtIssuer) -> Claims:
    client = claims.get("client_id", claims.get("azp", ""))
    actor = claims["act"]["sub"] if "act" in claims else client  # RFC 8693, section 4.1
    if not isinstance(client, str) or not isinstance(actor, str) or ("act" in claims and not actor):
        raise ValueError("a client must be named by a string")
    if not (client + actor).isprintable() or len(actor) > CLIENT_NAME_MAX:
        raise ValueError("a client's name must be short and printable")  # it is stored with every version of a task
    # In a client's own token sub is the client (RFC 9068, section 2.2). It may act for others; a user's token may not.
    is_service = client in issuer.act_as_clients and claims["sub"] == client and "act" not in claims
    scopes = _scopes(claims, issuer) - {ACT_AS} | ({ACT_AS} if is_service else set())
    return Claims(issuer, claims["sub"], actor or issuer.issuer, frozenset(scopes), is_service)


def _scopes(claims: dict[str, Any], issuer: JwtIssuer) -> set[str]:
    claim = next((claims[name] for name in SCOPE_CLAIMS if name in claims), None)
    if claim is None:
        return set(issuer.scopes)
    names = claim.split() if isinstance(claim, str) else claim
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("scopes must be strings")
    return set(names) & set(settings.SCOPES)
