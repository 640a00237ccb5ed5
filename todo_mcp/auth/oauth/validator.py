"""Rules that differ from django-oauth-toolkit: scopes, redirect URIs, resources, codes, refresh tokens, revocation."""

import re
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from oauth2_provider.models import AccessToken, Grant, RefreshToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauthlib.oauth2.rfc6749 import errors

from todo_mcp.auth import resource
from todo_mcp.auth.models import UsedCode
from todo_mcp.auth.oauth import families
from todo_mcp.auth.oauth.assertion_grant import note_assertion
from todo_mcp.auth.oauth.clients import GRANT_TYPES, ID_MAX, JWT_BEARER, document_problem
from todo_mcp.auth.oauth.errors import CHALLENGE_MESSAGE, OTHER_REDIRECT_MESSAGE, REUSED_MESSAGE, invalid_target
from todo_mcp.auth.oauth.redirects import is_registered
from todo_mcp.auth.oauth.scopes import granted_scopes, known_scopes
from todo_mcp.auth.revocation import By, Cause, record_revocation
from todo_mcp.auth.tokens import checksum

BY_CLIENT = Cause(By.CLIENT)
REPLAY = Cause(By.SERVER, "A refresh token was used again after its successor was used.")
CODE_REUSED = Cause(By.SERVER, "An authorization code was used again.")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def is_challenge(text: str) -> bool:
    """Whether the text has the form of an S256 code challenge (RFC 7636, section 4.2)."""
    return _CHALLENGE.fullmatch(text) is not None


class _CodeReused(errors.InvalidGrantError):  # type: ignore[misc] # the library publishes no types
    """Another request redeemed the code while this request was running."""


class _RefreshTokenReused(errors.InvalidGrantError):  # type: ignore[misc]
    """The refresh token has ended, so its whole family ends."""


class Validator(OAuth2Validator):  # type: ignore[misc] # the library publishes no types
    """The library's validator, made stricter: this server has one resource and few grants."""

    def validate_grant_type(self, client_id: str, grant_type: str, *args: Any, **kwargs: Any) -> bool:
        if grant_type == JWT_BEARER:
            return True  # the identity provider and its configuration decide which clients may use it
        return grant_type in GRANT_TYPES and super().validate_grant_type(client_id, grant_type, *args, **kwargs)

    def validate_scopes(self, client_id: str, scopes: list[str], client: Any, request: Any, *args: Any) -> bool:
        request.scopes = granted_scopes(" ".join(scopes))
        return True

    def validate_response_type(self, client_id: str, response_type: str, *args: Any, **kwargs: Any) -> bool:
        if response_type != "code":
            raise errors.UnsupportedResponseTypeError(request=args[1])
        return bool(super().validate_response_type(client_id, response_type, *args, **kwargs))

    # Clients

    def validate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        if super().validate_client_id(client_id, request, *args, **kwargs):
            return True
        raise errors.InvalidClientIdError(description=document_problem(client_id), request=request)

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        return is_registered(redirect_uri, request.client)

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        # A Basic header and the body must not name two clients.
        is_authentic = super().authenticate_client(request, *args, **kwargs)
        return bool(is_authentic and request.client_id in (None, "", request.client.client_id))

    def _extract_basic_auth(self, request: Any) -> str | None:
        credentials: str | None = super()._extract_basic_auth(request)
        # Decoding Base64 with non-ASCII characters raises an error that the library does not catch.
        return credentials if credentials and credentials.isascii() else None

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        # No client has such an id. A NUL in a Basic header is not seen by the parameter check.
        if client_id and (len(client_id) > ID_MAX or "\0" in client_id):
            return None
        return super()._load_application(client_id, request)

    # Resource indicators (RFC 8707): only this server's resource, which is also the default

    def _validate_resource_uris(self, request: Any, resources: list[Any]) -> None:
        if not all(resource.is_ours(uri) for uri in resources):
            raise invalid_target(request=request)

    def _check_and_set_request_resource(self, request: Any) -> None:
        self.check_resources(request)
        request.resource = [resource.identifier()]

    def check_resources(self, request: Any) -> None:
        """Check that each resource for which the client asks is this server's."""
        self._validate_resource_uris(
            request, [value for name, value in request.decoded_body or () if name == "resource"]
        )

    def _create_authorization_code(self, request: Any, code: Any, expires: Any = None) -> Grant:
        self._validate_resource_uris(request, getattr(request, "resource", None) or [])
        if not is_challenge(request.code_challenge or ""):
            raise errors.InvalidRequestError(CHALLENGE_MESSAGE, request=request)
        request.resource = None  # not stored: every code is for this server's only resource
        request.nonce = request.claims = None  # parameters of OpenID Connect, which is not supported
        return super()._create_authorization_code(request, code, expires)

    # Authorization codes work once, even when two requests redeem one at the same time (OAuth 2.1, section 4.1.3)

    def validate_code(self, client_id: str, code: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        grant = Grant.objects.select_related("user").filter(code=code, application=client).first()
        if grant is None:
            _revoke_tokens_of_reused_code(code, client)
            return False
        # Keep the grant for the methods below: another request may redeem and delete its row before they run.
        request.grant, request.user, request.scopes = grant, grant.user, grant.scope.split()
        return bool(not grant.is_expired() and grant.user.is_active)

    def get_code_challenge(self, code: str, request: Any) -> str | None:
        return request.grant.code_challenge or None

    def get_code_challenge_method(self, code: str, request: Any) -> str | None:
        return request.grant.code_challenge_method or None

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        if not request.grant.redirect_uri_allowed(redirect_uri):
            raise errors.InvalidGrantError(description=OTHER_REDIRECT_MESSAGE, request=request)
        return True

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: ``_save_bearer_token`` deletes the code in the transaction that saves its tokens."""

    def save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().save_bearer_token(token, request, *args, **kwargs)
        except _CodeReused:
            # The transaction with the new tokens has been rolled back, so this must happen outside it.
            _revoke_tokens_of_reused_code(request.code, request.client)
            raise
        except _RefreshTokenReused:
            families.end_family(request.refresh_token_instance.token_family, REPLAY)
            raise

    # Refresh tokens (RFC 6749, section 6; RFC 9700, section 4.14.2); families.py has the rules

    def validate_refresh_token(self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        tokens = RefreshToken.objects.filter(token_checksum=checksum(refresh_token), application=client)
        record = tokens.select_related("user", "access_token").first()
        if record is None:
            return False
        if record.revoked:
            families.end_family(record.token_family, REPLAY)
            raise _RefreshTokenReused(description=REUSED_MESSAGE, request=request)
        request.user, request.refresh_token, request.refresh_token_instance = record.user, refresh_token, record
        request.scope = " ".join(known_scopes(request.scope))  # an empty one stands for all that was granted
        return bool(families.is_renewable(record) and record.user.is_active)

    def _save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        used = getattr(request, "refresh_token_instance", None)
        if used is not None:
            self._save_successor(token, request, used)
            return
        grant = getattr(request, "grant", None)
        # If two requests use one code, the second waits here for the first one's delete, and then deletes nothing.
        if grant is not None and not Grant.objects.filter(pk=grant.pk).delete()[0]:
            raise _CodeReused(request=request)
        super()._save_bearer_token(token, request, *args, **kwargs)
        if request.grant_type == JWT_BEARER:
            note_assertion(request.identity, token, request)
        if grant is not None:
            refresh_token = RefreshToken.objects.get(token_checksum=checksum(token["refresh_token"]))
            UsedCode.objects.create(checksum=checksum(grant.code), token_family=refresh_token.token_family)

    def _save_successor(self, token: dict[str, Any], request: Any, used: RefreshToken) -> None:
        """Save new tokens beside the used ones. The old access token stays valid until it expires."""
        self._check_and_set_request_resource(request)
        families.lock_family(used.token_family)
        if not families.is_live(used):  # another request ended it after validate_refresh_token
            raise _RefreshTokenReused(description=REUSED_MESSAGE, request=request)
        expires = timezone.now() + timedelta(seconds=token["expires_in"])
        access_token = self._create_access_token(expires, request, token)
        successor = self._create_refresh_token(request, token["refresh_token"], access_token, used)
        families.add_successor(successor, of=used)

    def revoke_token(self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """Revoke all tokens of the same consent (RFC 7009, section 2.1), not only the last pair."""
        matches = Q(token_checksum=checksum(token)) | Q(access_token__token_checksum=checksum(token))
        records = RefreshToken.objects.filter(matches, application=request.client)
        token_families = list(records.values_list("token_family", flat=True))
        for family in token_families:
            families.end_family(family, BY_CLIENT)
        if not token_families:
            with transaction.atomic():
                own = AccessToken.objects.filter(token_checksum=checksum(token), application=request.client)
                record_revocation(own, BY_CLIENT)
                super().revoke_token(token, token_type_hint, request, *args, **kwargs)


def _revoke_tokens_of_reused_code(code: str, client: Any) -> None:
    """Revoke every token of a code that this client redeemed before: one of the two senders stole the code."""
    used_code = UsedCode.objects.filter(checksum=checksum(code)).first()
    if used_code and RefreshToken.objects.filter(token_family=used_code.token_family, application=client).exists():
        families.end_family(used_code.token_family, CODE_REUSED)
