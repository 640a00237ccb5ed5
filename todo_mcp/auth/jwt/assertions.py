"""All checks of identity assertions (ID-JAG), by which a company's identity provider vouches for a person.

The rules are those of draft-ietf-oauth-identity-assertion-authz-grant-04, section 4.4.1, and of MCP's extension
"Enterprise-Managed Authorization", section 7. An assertion is no access token, and no access token is an assertion:
their types differ.
"""

import concurrent.futures
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from todo_mcp.auth import resource
from todo_mcp.auth.jwt import key_set
from todo_mcp.auth.jwt.decoding import (
    LEEWAY,
    check_lifetime,
    decode,
    looks_like_jwt,
    parse_unverified,
    pending_keys,
    refusals,
)
from todo_mcp.auth.jwt.issuers import JwtIssuer
from todo_mcp.auth.jwt.tokens import scopes_of
from todo_mcp.auth.tokens import ACT_AS, TOKEN_MAX, checksum
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.token_rules import TokenRule

TYPES = frozenset({"oauth-id-jag+jwt"})
LIFETIME_MAX = 3600  # seconds; the issuer's max_lifetime may be shorter
ANY_CONFIDENTIAL = "*"
# The assertion is bound to a proof of possession, or grants less than its scopes say. This server supports neither.
UNSUPPORTED = frozenset({"cnf", "authorization_details"})


@dataclass(frozen=True)
class Assertion:
    """A valid assertion. ``checksum`` identifies it: a second one with the same issuer and ``jti`` is a replay."""

    issuer: JwtIssuer
    subject: str
    scopes: frozenset[str]
    checksum: str
    expires: datetime  # with the leeway for clocks that differ
    time_zone: str


def are_accepted() -> bool:
    """Whether a provider is configured for identity assertions."""
    return any(issuer.id_jag_clients for issuer in settings.JWT_ISSUERS)


def wait_for_keys(token: str) -> None:
    """Wait until the keys for this assertion are stored. Call this without a place at the gate."""
    fetch = pending_keys(token, TYPES)
    if fetch is not None:
        concurrent.futures.wait({fetch}, timeout=key_set.TIMEOUT)


def verify_assertion(token: str, *, client_id: str, has_secret: bool) -> Assertion:
    """Verify an assertion that this client presents. Whether it was used before is for the caller to check.

    Raises:
        Unauthenticated: the assertion breaks a rule.
        KeysUnavailable: the issuer's keys could not be fetched.
    """
    if len(token) > TOKEN_MAX or not token.isascii() or not looks_like_jwt(token):
        raise Unauthenticated(TokenRule.JWT_MALFORMED)
    header, issuer = parse_unverified(token)
    if not issuer.id_jag_clients:
        raise Unauthenticated(TokenRule.JWT_ISSUER)
    with refusals(issuer):
        claims = decode(token, header, issuer, audience=settings.PUBLIC_URL, types=TYPES)
        if claims["aud"] not in (settings.PUBLIC_URL, [settings.PUBLIC_URL]):  # no second audience
            raise Unauthenticated(TokenRule.JWT_AUDIENCE)
        check_lifetime(claims, min(issuer.max_lifetime, LIFETIME_MAX))
        if UNSUPPORTED & claims.keys() or claims.get("tenant") != (issuer.id_jag_tenant or None):
            raise Unauthenticated(TokenRule.JWT_CLAIMS)
        if not isinstance(claims.get("jti"), str) or not claims["jti"]:
            raise Unauthenticated(TokenRule.JWT_CLAIMS)
        if claims.get("client_id") != client_id or not _may_present(client_id, has_secret, issuer):
            raise Unauthenticated(TokenRule.JWT_CLIENT)
        if not _is_for_our_resource(claims):
            raise Unauthenticated(TokenRule.JWT_RESOURCE)
        return _to_assertion(claims, issuer)


def _may_present(client_id: str, has_secret: bool, issuer: JwtIssuer) -> bool:
    return client_id in issuer.id_jag_clients or (has_secret and ANY_CONFIDENTIAL in issuer.id_jag_clients)


def _is_for_our_resource(claims: dict[str, Any]) -> bool:
    """Whether ``resource`` is left out or names only this server. The audience binds the assertion in any case."""
    if "resource" not in claims:
        return True
    resources = claims["resource"] if isinstance(claims["resource"], list) else [claims["resource"]]
    return bool(resources) and all(map(resource.is_ours, resources))


def _to_assertion(claims: dict[str, Any], issuer: JwtIssuer) -> Assertion:
    scopes = scopes_of(claims, issuer) - {ACT_AS}
    if not scopes:
        raise Unauthenticated(TokenRule.JWT_SCOPE)
    zone = claims.get("zoneinfo")
    return Assertion(
        issuer=issuer,
        subject=claims["sub"],
        scopes=frozenset(scopes),
        checksum=checksum(f"{issuer.issuer}\n{claims['jti']}"),
        expires=datetime.fromtimestamp(claims["exp"], UTC) + timedelta(seconds=LEEWAY),
        time_zone=zone if isinstance(zone, str) else "",
    )
