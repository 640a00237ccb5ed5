"""Rules that differ from django-oauth-toolkit: resources, code reuse, refresh races, revocation."""

import re
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone
from oauth2_provider.models import AccessToken, Grant, RefreshToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import SettingsScopes
from oauthlib.oauth2.rfc6749 import errors

from todo_mcp.auth import resource
from todo_mcp.auth.models import UsedCode
from todo_mcp.auth.oauth.clients import GRANT_TYPES, ID_MAX, is_safe_redirect
from todo_mcp.auth.tokens import ACT_AS, checksum

# How long a used refresh token may be used again. Two processes of one client may race, or a response may get lost.
# Each use gets its own tokens in the same family. The library's grace period repeats the first response instead, so it
# would have to store tokens in plain text.
RACE_SECONDS = 60
RACERS_MAX = 10  # requests that get their own tokens for one refresh token, including the first

CHALLENGE_MESSAGE = "Send a code_challenge of 43 characters, BASE64URL(SHA256(code_verifier)), with the method S256."
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def is_challenge(text: str) -> bool:
    """Whether the text has the form of an S256 code challenge (RFC 7636, section 4.2)."""
    return _CHALLENGE.fullmatch(text) is not None


class _CodeReused(errors.InvalidGrantError):  # type: ignore[misc] # the library publishes no types
    """Another request redeemed the code while this request was running."""


class Validator(OAuth2Validator):  # type: ignore[misc] # the library publishes no types
    """The library's validator, made stricter: this server has one resource and one grant."""

    def validate_grant_type(self, client_id: str, grant_type: str, *args: Any, **kwargs: Any) -> bool:
        return grant_type in GRANT_TYPES and super().validate_grant_type(client_id, grant_type, *args, **kwargs)

    def validate_response_type(self, client_id: str, response_type: str, *args: Any, **kwargs: Any) -> bool:
        return response_type == "code" and super().validate_response_type(client_id, response_type, *args, **kwargs)

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, *args: Any, **kwargs: Any) -> bool:
        return is_safe_redirect(redirect_uri) and super().validate_redirect_uri(
            client_id, redirect_uri, *args, **kwargs
        )

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
        resources = [value for name, value in request.decoded_body or () if name == "resource"]
        self._validate_resource_uris(request, resources)
        request.resource = [resource.identifier()]

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
        return bool(request.grant.redirect_uri_allowed(redirect_uri))

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: ``_save_bearer_token`` deletes the code in the transaction that saves its tokens."""

    def save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().save_bearer_token(token, request, *args, **kwargs)
        except _CodeReused:
            # The transaction with the new tokens has been rolled back, so this must happen outside it.
            _revoke_tokens_of_reused_code(request.code, request.client)
            raise

    # Refresh tokens (RFC 6749, section 6; RFC 9700, section 4.14.2)

    def validate_refresh_token(self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        """Whether the token may be used: for the first time, or again in a race. Later use revokes the whole family."""
        record = _latest(token_checksum=checksum(refresh_token), application=client)
        if record is None or (record.revoked and not _is_in_race(record)):
            super().validate_refresh_token(refresh_token, client, request, *args, **kwargs)  # handles a replay
            return False
        # Skip the library's check of an unused token. It queries again, and the other request of a race may have used
        # the token by then. The library would take that for a replay.
        if not record.revoked and not _is_renewable(record):
            return False
        request.user, request.refresh_token, request.refresh_token_instance = record.user, refresh_token, record
        return bool(record.user.is_active)

    def _save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        instance = getattr(request, "refresh_token_instance", None)
        if instance is not None:
            # Lock the row: if two requests read it as unused, the second one sees here that it lost the race.
            row = RefreshToken.objects.select_for_update().filter(pk=instance.pk).first()
            if row is None or (row.revoked and not _is_in_race(row)):
                raise errors.InvalidGrantError(request=request)
            if row.revoked:
                self._join_family(token, request, row)
                return
        grant = getattr(request, "grant", None)
        # If two requests use one code, the second waits here for the first one's delete, and then deletes nothing.
        if grant is not None and not Grant.objects.filter(pk=grant.pk).delete()[0]:
            raise _CodeReused(request=request)
        super()._save_bearer_token(token, request, *args, **kwargs)
        if grant is not None:
            refresh_token = RefreshToken.objects.get(token_checksum=checksum(token["refresh_token"]))
            UsedCode.objects.create(checksum=checksum(grant.code), token_family=refresh_token.token_family)

    def _join_family(self, token: dict[str, Any], request: Any, used: RefreshToken) -> None:
        """Issue additional tokens in the family of the race's first request. A later replay revokes all of them."""
        later_tokens = RefreshToken.objects.filter(token_family=used.token_family, created__gte=used.revoked)
        if later_tokens.count() >= RACERS_MAX:
            raise errors.InvalidGrantError(request=request)
        self._check_and_set_request_resource(request)
        expires = timezone.now() + timedelta(seconds=token["expires_in"])
        access_token = self._create_access_token(expires, request, token)
        self._create_refresh_token(request, token["refresh_token"], access_token, used)

    def revoke_token(self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """Revoke all tokens of the same consent (RFC 7009, section 2.1), not only the last pair."""
        matches = Q(token_checksum=checksum(token)) | Q(access_token__token_checksum=checksum(token))
        records = RefreshToken.objects.filter(matches, application=request.client)
        families = list(records.values_list("token_family", flat=True))
        super().revoke_token(token, token_type_hint, request, *args, **kwargs)
        for family in families:
            RefreshToken.revoke_family(family)


def _revoke_tokens_of_reused_code(code: str, client: Any) -> None:
    """Revoke every token of a code that this client redeemed before: one of the two senders stole the code."""
    used_code = UsedCode.objects.filter(checksum=checksum(code)).first()
    if used_code and RefreshToken.objects.filter(token_family=used_code.token_family, application=client).exists():
        RefreshToken.revoke_family(used_code.token_family)


def _latest(**conditions: Any) -> RefreshToken | None:
    """The unused token, else the one that was used last. A checksum is unique only among unused tokens."""
    rows = RefreshToken.objects.filter(**conditions).select_related("user", "access_token")
    return rows.order_by(F("revoked").desc(nulls_first=True)).first()


def _is_in_race(used: RefreshToken) -> bool:
    """Whether the token was used within ``RACE_SECONDS`` and the access token from that use still exists."""
    recent = used.revoked > timezone.now() - timedelta(seconds=RACE_SECONDS)
    return bool(recent and AccessToken.objects.filter(source_refresh_token=used).exists())


def _is_renewable(unused: RefreshToken) -> bool:
    """Whether its access token exists and ended less than one refresh token lifetime ago."""
    if unused.access_token is None:
        return False
    lifetime = timedelta(seconds=settings.OAUTH2_PROVIDER["REFRESH_TOKEN_EXPIRE_SECONDS"])
    return bool(unused.access_token.expires + lifetime > timezone.now())


def invalid_target(**kwargs: Any) -> errors.CustomOAuth2Error:
    """The error of RFC 8707, section 2."""
    message = f"This server issues tokens for one resource, {settings.PUBLIC_URL}/mcp."
    return errors.CustomOAuth2Error("invalid_target", description=message, **kwargs)


class GrantableScopes(SettingsScopes):  # type: ignore[misc] # the library publishes no types
    """All scopes except acting for others, which only an operator can grant."""

    def get_available_scopes(self, *args: Any, **kwargs: Any) -> list[str]:
        return [scope for scope in settings.SCOPES if scope != ACT_AS]
