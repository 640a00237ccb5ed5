"""What every JWT of a configured issuer must fulfil, whatever its purpose (RFC 7519, RFC 8725)."""

import base64
import binascii
import math
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import jwt
from django.conf import settings

from todo_mcp.auth.jwt.issuers import JwtIssuer
from todo_mcp.auth.tokens import TOKEN_MAX
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.strict_json import BadJson, parse
from todo_mcp.core.token_rules import TokenRule

LEEWAY = 30  # seconds
REQUIRED = ["exp", "iat", "sub", "aud", "iss"]
# The rule behind an error of PyJWT or of the search for a key. The first match counts. Other errors are about claims.
RULES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], TokenRule], ...] = (
    (jwt.InvalidSignatureError, TokenRule.JWT_SIGNATURE),
    (jwt.ExpiredSignatureError, TokenRule.JWT_EXPIRED),
    (jwt.ImmatureSignatureError, TokenRule.JWT_NOT_YET_VALID),
    (jwt.InvalidAudienceError, TokenRule.JWT_AUDIENCE),
    (jwt.DecodeError, TokenRule.JWT_MALFORMED),
    ((LookupError, jwt.InvalidKeyError, jwt.PyJWKError), TokenRule.JWT_KEY),
)


def looks_like_jwt(token: str) -> bool:
    """Whether the token has the three parts of a signed JWT (RFC 7515, section 3.1)."""
    return token.count(".") == 2


def pending_keys(token: str, types: frozenset[str]) -> "Future[None] | None":
    """The fetch of keys to wait for before calling ``decode``, or None. Does not report an invalid token."""
    if not looks_like_jwt(token) or len(token) > TOKEN_MAX or not token.isascii():
        return None
    try:
        header, issuer = parse_unverified(token)
        _check_header(header, issuer, types)
        return issuer.fetch(header)
    except (Unauthenticated, LookupError, ValueError, TypeError):
        return None


def parse_unverified(token: str) -> tuple[dict[str, Any], JwtIssuer]:
    """The header, and the issuer that the token names. Neither is verified yet.

    Raises:
        Unauthenticated: the token cannot be parsed, or names no configured issuer.
    """
    header, unverified = (json_part(part) for part in token.split(".")[:2])
    for issuer in settings.JWT_ISSUERS:
        if issuer.issuer == unverified.get("iss"):
            return header, issuer
    raise Unauthenticated(TokenRule.JWT_ISSUER)


def decode(
    token: str, header: dict[str, Any], issuer: JwtIssuer, *, audience: str, types: frozenset[str]
) -> dict[str, Any]:
    """The claims of the token, whose signature, times and audience are verified. Call this within ``refusals``.

    Raises:
        KeysUnavailable: the issuer's keys could not be fetched.
        Exception: the token breaks a rule; ``refusals`` says which.
    """
    _check_header(header, issuer, types)
    claims: dict[str, Any] = jwt.decode(
        token,
        issuer.key(header),
        algorithms=list(issuer.algorithms),
        audience=audience,
        issuer=issuer.issuer,
        leeway=LEEWAY,
        options={"require": REQUIRED, "enforce_minimum_key_length": True},
    )
    _check_times(claims)
    if not claims["sub"] or not claims["sub"].isprintable():
        raise Unauthenticated(TokenRule.JWT_CLAIMS)
    return claims


def check_lifetime(claims: dict[str, Any], longest: int) -> None:
    """Check the time from ``iat`` to ``exp``, in seconds."""
    if not 0 < claims["exp"] - claims["iat"] <= longest:
        raise Unauthenticated(TokenRule.JWT_LIFETIME)


@contextmanager
def refusals(issuer: JwtIssuer) -> Iterator[None]:
    """Turn an error about the token into Unauthenticated. It tells the rule and the issuer only to the log."""
    try:
        yield
    except Unauthenticated as error:
        error.issuer = issuer.issuer
        raise
    except (jwt.PyJWTError, ArithmeticError, LookupError, ValueError, TypeError) as error:
        rule = next((rule for kinds, rule in RULES if isinstance(error, kinds)), TokenRule.JWT_CLAIMS)
        raise Unauthenticated(rule, issuer=issuer.issuer) from error


def type_of(header: dict[str, Any]) -> str:
    """The type in lower case, without the prefix that may be left out (RFC 7515, section 4.1.9)."""
    kind = header.get("typ", "JWT")
    return kind.lower().removeprefix("application/") if isinstance(kind, str) else ""


def json_part(part: str) -> dict[str, Any]:
    """Decode one part of the token to an object. A repeated key is an error here; PyJWT would take the last value."""
    try:
        value = parse(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (BadJson, binascii.Error) as error:
        raise Unauthenticated(TokenRule.JWT_MALFORMED) from error
    if not isinstance(value, dict):
        raise Unauthenticated(TokenRule.JWT_MALFORMED)
    return value


def _check_header(header: dict[str, Any], issuer: JwtIssuer, types: frozenset[str]) -> None:
    if header.get("alg") not in issuer.algorithms:
        raise Unauthenticated(TokenRule.JWT_ALGORITHM)
    if "crit" in header or "b64" in header:
        raise Unauthenticated(TokenRule.JWT_EXTENSION)  # RFC 7515, section 4.1.11; RFC 7797
    if type_of(header) not in types:
        raise Unauthenticated(TokenRule.JWT_TYPE)


def _check_times(claims: dict[str, Any]) -> None:
    """Check what PyJWT does not: the types of the times."""
    for name in ("exp", "iat", "nbf"):
        if name in claims and (isinstance(claims[name], bool) or not isinstance(claims[name], (int, float))):
            raise Unauthenticated(TokenRule.JWT_CLAIMS)
        if not math.isfinite(claims.get(name, 0)):
            raise Unauthenticated(TokenRule.JWT_CLAIMS)
