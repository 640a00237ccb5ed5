"""The grant of company sign-on: a client exchanges an identity assertion (ID-JAG) for an access token (RFC 7523).

No person is asked, because the company's identity provider has decided. There is no refresh token: the client asks the
provider for a new assertion. So a person who is switched off there loses access when the last access token ends.
"""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from oauth2_provider.models import AccessToken, Application
from oauthlib.oauth2 import Server
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.grant_types import ClientCredentialsGrant

from todo_mcp.auth import resource
from todo_mcp.auth.authentication import admit
from todo_mcp.auth.jwt.assertions import Assertion, verify_assertion, wait_for_keys
from todo_mcp.auth.models import UsedAssertion
from todo_mcp.auth.oauth.clients import JWT_BEARER
from todo_mcp.auth.oauth.errors import refused_assertion
from todo_mcp.auth.oauth.scopes import grantable
from todo_mcp.auth.tokens import checksum
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.postgres.greenlets import outside_the_gate
from todo_mcp.telemetry.refused_tokens import record_refusal
from todo_mcp.users.models import User

USE_NOTED = timedelta(days=1)  # a client's use is noted at most this often


class AssertionGrant(ClientCredentialsGrant):  # type: ignore[misc] # the library publishes no types
    """Like the grant of client credentials, which has no refresh token either; only the checks differ."""

    def validate_token_request(self, request: Any) -> None:
        token = dict(request.decoded_body or ()).get("assertion")
        if not token:
            message = "The parameter assertion is missing. Send the ID-JAG of the identity provider."
            raise errors.InvalidRequestError(message, request=request)
        self.validate_client_authentication(request)
        self.validate_grant_type(request)
        self.request_validator.check_resources(request)
        outside_the_gate(lambda: wait_for_keys(token))
        try:
            has_secret = request.client.client_type == Application.CLIENT_CONFIDENTIAL
            assertion = verify_assertion(token, client_id=request.client.client_id, has_secret=has_secret)
            request.scopes = _granted(assertion, request.scope)
            if not request.scopes:
                raise errors.InvalidScopeError(request=request)
            if UsedAssertion.objects.filter(pk=assertion.checksum).exists():  # a replay must not create an erased user
                raise Unauthenticated(TokenRule.JWT_REPLAYED, issuer=assertion.issuer.issuer)
            admit(assertion.subject, assertion.issuer, assertion.time_zone)
            request.user = User.objects.filter(pk=assertion.subject).first()
            if request.user is None:  # erased since then
                raise Unauthenticated(TokenRule.USER_UNKNOWN, issuer=assertion.issuer.issuer)
        except Unauthenticated as error:
            raise refusal(error, request) from error
        request.identity, request.extra_credentials = assertion, {"resource": resource.identifier()}


def _granted(assertion: Assertion, requested: str | None) -> list[str]:
    """The scopes of the assertion. If the client asks for scopes, only those that are in both."""
    asked = requested.split() if requested else assertion.scopes
    return [scope for scope in grantable() if scope in assertion.scopes and scope in asked]


def refusal(error: Unauthenticated, request: Any) -> errors.OAuth2Error:
    """Log the broken rule, and name it to the client: the description tells its developer what to correct."""
    record_refusal(error)
    return refused_assertion(error.rule, request=request)


def note_assertion(assertion: Assertion, token: dict[str, Any], request: Any) -> None:
    """Record that the assertion was exchanged for this token, which the same transaction has saved.

    Raises:
        InvalidGrantError: the assertion was used before. All workers and hosts see this, also at the same time.
    """
    record = AccessToken.objects.get(token_checksum=checksum(token["access_token"]))
    _, is_new = UsedAssertion.objects.get_or_create(
        checksum=assertion.checksum,
        defaults={
            "issuer": assertion.issuer.issuer,
            "access_token": record,
            "kept_until": max(assertion.expires, record.expires),
        },
    )
    if not is_new:
        raise refusal(Unauthenticated(TokenRule.JWT_REPLAYED, issuer=assertion.issuer.issuer), request)
    # Tokens of this grant are soon purged. Without this, a client would count as unused a night later.
    now = timezone.now()
    Application.objects.filter(pk=request.client.pk, updated__lt=now - USE_NOTED).update(updated=now)


class TokenServer(Server):  # type: ignore[misc]
    """oauthlib's server, with this grant."""

    def __init__(self, request_validator: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(request_validator, *args, **kwargs)
        self.grant_types[JWT_BEARER] = AssertionGrant(request_validator)
