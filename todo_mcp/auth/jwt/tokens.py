"""JWTs of configured issuers as access tokens (RFC 7519, RFC 8725, RFC 9068, RFC 8693): every rule, in one place."""

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
# What ID tokens, logout tokens and sender-constrained tokens carry: made for another purpose, or to be proven.
FOREIGN_CLAIMS = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events", "cnf"})
SCOPE_CLAIMS = ("scope", "scp")  # RFC 8693, section 4.2; the second is Microsoft's and Okta's


@dataclass(frozen=True)
class Claims:
    """What a good token says. ``client`` is who presents it: the delegated backend, the client or the issuer."""

    issuer: JwtIssuer
    subject: str
    client: str
    scopes: frozenset[str]
    is_service: bool


def looks_like_jwt(token: str) -> bool:
    """Whether the token has the three parts of a signed JWT (RFC 7515, section 3.1)."""
    return token.count(".") == 2


async def prepare_keys(token: str) -> None:
    """Wait for the keys that a JWT needs, if they are not here: a caller does so before it takes a place at the gate.

    Whatever is wrong with the token is left for ``verify``.
    """
    if not looks_like_jwt(token) or len(token) > TOKEN_MAX or not token.isascii():
        return
    try:
        header, issuer = _opened(token)
        fetch = issuer.fetch(header)
    except (LookupError, ValueError, TypeError):
        return
    if fetch is not None:
        await asyncio.wait({asyncio.wrap_future(fetch)}, timeout=key_set.TIMEOUT)


def verify(token: str) -> Claims:
    """The claims of a token that keeps every rule.

    Raises:
        Unauthenticated: it breaks one; which is not told.
        KeysUnavailable: the issuer's keys cannot be had.
    """
    try:
        header, issuer = _opened(token)
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
        return _understood(claims, issuer)
    except (jwt.PyJWTError, ArithmeticError, LookupError, ValueError, TypeError) as error:
        raise Unauthenticated from error


def _opened(token: str) -> tuple[dict[str, Any], JwtIssuer]:
    """The header, and the issuer that the token names; nothing of it is proven."""
    header, unverified = (_json_part(part) for part in token.split(".")[:2])
    issuer = _issuer(unverified.get("iss"))
    _check_header(header, issuer)
    return header, issuer


def _json_part(part: str) -> dict[str, Any]:
    """A part of the token as an object; parsed here first, because PyJWT takes the last of two equal keys."""
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
            found: JwtIssuer = issuer
            return found
    raise ValueError("unknown issuer")


def _check_header(header: dict[str, Any], issuer: JwtIssuer) -> None:
    if header.get("alg") not in issuer.algorithms:
        raise ValueError("another algorithm")
    if "crit" in header or "b64" in header:
        raise ValueError("an extension that we do not know")  # RFC 7515, section 4.1.11; RFC 7797
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise ValueError("another kind of token")


def _check_claims(claims: dict[str, Any]) -> None:
    """What PyJWT leaves: types, lifetime, tokens made for another purpose."""
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


def _understood(claims: dict[str, Any], issuer: JwtIssuer) -> Claims:
    client = claims.get("client_id", claims.get("azp", ""))
    actor = claims["act"]["sub"] if "act" in claims else client  # RFC 8693, section 4.1
    if not isinstance(client, str) or not isinstance(actor, str) or ("act" in claims and not actor):
        raise ValueError("a client must be named by a string")
    if not (client + actor).isprintable() or len(actor) > CLIENT_NAME_MAX:
        raise ValueError("a client's name must be short and printable")  # it goes into every version of a task
    # Its own token, not a user's (RFC 9068, section 2.2): a client that may act for others never does so by sub.
    is_service = client in issuer.act_as_clients and claims["sub"] == client and "act" not in claims
    scopes = _scopes(claims, issuer) - {ACT_AS} | ({ACT_AS} if is_service else set())
    return Claims(issuer, claims["sub"], actor or issuer.issuer, frozenset(scopes), is_service)


def _scopes(claims: dict[str, Any], issuer: JwtIssuer) -> set[str]:
    said = next((claims[name] for name in SCOPE_CLAIMS if name in claims), None)
    if said is None:
        return set(issuer.scopes)
    names = said.split() if isinstance(said, str) else said
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("scopes must be strings")
    return set(names) & set(settings.SCOPES)
