"""What our authorization server decides otherwise than django-oauth-toolkit: resources, refresh races, revocation."""

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

# How long after its use a refresh token may be used once more: by the loser of a race between two processes of one
# client, or by a client that never got the answer. It gets tokens of its own in the same family. The library's own
# grace period gives the first answer again, for which it would have to store tokens in plain text.
RACE_SECONDS = 60
RACERS_MAX = 10  # who get tokens of their own for one that was used, the winner included

CHALLENGE_SAID = "Send a code_challenge of 43 characters, BASE64URL(SHA256(code_verifier)), with the method S256."
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def is_challenge(text: str) -> bool:
    """Whether this can be a challenge of the method S256 (RFC 7636, section 4.2)."""
    return _CHALLENGE.fullmatch(text) is not None


class _CodeReused(errors.InvalidGrantError):  # type: ignore[misc] # the library publishes no types
    """The code was redeemed while this request was under way."""


class Validator(OAuth2Validator):  # type: ignore[misc] # the library publishes no types
    """The library's validator, stricter where this server has one resource and one grant."""

    def validate_grant_type(self, client_id: str, grant_type: str, *args: Any, **kwargs: Any) -> bool:
        return grant_type in GRANT_TYPES and super().validate_grant_type(client_id, grant_type, *args, **kwargs)

    def validate_response_type(self, client_id: str, response_type: str, *args: Any, **kwargs: Any) -> bool:
        return response_type == "code" and super().validate_response_type(client_id, response_type, *args, **kwargs)

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, *args: Any, **kwargs: Any) -> bool:
        return is_safe_redirect(redirect_uri) and super().validate_redirect_uri(
            client_id, redirect_uri, *args, **kwargs
        )

    def _extract_basic_auth(self, request: Any) -> str | None:
        sent: str | None = super()._extract_basic_auth(request)
        return sent if sent and sent.isascii() else None  # or its Base64 cannot be read, which the library leaves open

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        # No client has such an id; in a Basic header a NUL comes past the look at the parameters.
        if client_id and (len(client_id) > ID_MAX or "\0" in client_id):
            return None
        return super()._load_application(client_id, request)

    # Resource indicators (RFC 8707): ours, which is also what a client means that names none

    def _validate_resource_uris(self, request: Any, resources: list[Any]) -> None:
        if not all(resource.is_ours(named) for named in resources):
            raise invalid_target(request=request)

    def _check_and_set_request_resource(self, request: Any) -> None:
        named = [value for name, value in request.decoded_body or () if name == "resource"]
        self._validate_resource_uris(request, named)
        request.resource = [resource.identifier()]

    def _create_authorization_code(self, request: Any, code: Any, expires: Any = None) -> Grant:
        self._validate_resource_uris(request, getattr(request, "resource", None) or [])
        if not is_challenge(request.code_challenge or ""):
            raise errors.InvalidRequestError(CHALLENGE_SAID, request=request)
        request.resource = None  # what was named is ours, and so is what was not
        request.nonce = request.claims = None  # of OpenID Connect, which is not offered
        return super()._create_authorization_code(request, code, expires)

    # Authorization codes: good once, also when two requests redeem one at the same time (OAuth 2.1, section 4.1.3)

    def validate_code(self, client_id: str, code: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        grant = Grant.objects.select_related("user").filter(code=code, application=client).first()
        if grant is None:
            _end_reused(code, client)
            return False
        # Kept, for it may be gone when the library asks for its parts: another request has then redeemed it.
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
        """Nothing more: saving its tokens has done it, in one transaction."""

    def save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().save_bearer_token(token, request, *args, **kwargs)
        except _CodeReused:
            _end_reused(request.code, request.client)  # after the transaction, which has been rolled back
            raise

    # Refresh tokens (RFC 6749, section 6; RFC 9700, section 4.14.2)

    def validate_refresh_token(self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        """Whether the token may be used: the first time, or again in a race. Later use ends the whole family."""
        found = _latest(token_checksum=checksum(refresh_token), application=client)
        if found is None or (found.revoked and not _was_raced(found)):
            super().validate_refresh_token(refresh_token, client, request, *args, **kwargs)  # looks for a replay
            return False
        # Not the library's own look at a token that is unused: between that and ours it may be used, and be no replay.
        if not found.revoked and not _is_renewable(found):
            return False
        request.user, request.refresh_token, request.refresh_token_instance = found.user, refresh_token, found
        return bool(found.user.is_active)

    def _save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        presented = getattr(request, "refresh_token_instance", None)
        if presented is not None:
            # Locked: of two requests that both found it unused, the second sees here that it lost.
            locked = RefreshToken.objects.select_for_update().filter(pk=presented.pk).first()
            if locked is None or (locked.revoked and not _was_raced(locked)):
                raise errors.InvalidGrantError(request=request)
            if locked.revoked:
                self._join_family(token, request, locked)
                return
        grant = getattr(request, "grant", None)
        # Of two requests with one code the second waits here for the first, and then finds the code gone.
        if grant is not None and not Grant.objects.filter(pk=grant.pk).delete()[0]:
            raise _CodeReused(request=request)
        super()._save_bearer_token(token, request, *args, **kwargs)
        if grant is not None:
            issued = RefreshToken.objects.get(token_checksum=checksum(token["refresh_token"]))
            UsedCode.objects.create(checksum=checksum(grant.code), token_family=issued.token_family)

    def _join_family(self, token: dict[str, Any], request: Any, used: RefreshToken) -> None:
        """Issue tokens beside those that the winner of the race got; a replay ends both."""
        since = RefreshToken.objects.filter(token_family=used.token_family, created__gte=used.revoked)
        if since.count() >= RACERS_MAX:
            raise errors.InvalidGrantError(request=request)
        self._check_and_set_request_resource(request)
        expires = timezone.now() + timedelta(seconds=token["expires_in"])
        access_token = self._create_access_token(expires, request, token)
        self._create_refresh_token(request, token["refresh_token"], access_token, used)

    def revoke_token(self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """End all that came of the same consent (RFC 7009, section 2.1), not only the last pair of tokens."""
        found = Q(token_checksum=checksum(token)) | Q(access_token__token_checksum=checksum(token))
        families = RefreshToken.objects.filter(found, application=request.client).values_list("token_family", flat=True)
        ended = list(families)
        super().revoke_token(token, token_type_hint, request, *args, **kwargs)
        for family in ended:
            RefreshToken.revoke_family(family)


def _end_reused(code: str, client: Any) -> None:
    """If the client redeemed the code before, end every token that came of it: one of its two holders stole it."""
    used = UsedCode.objects.filter(checksum=checksum(code)).first()
    if used and RefreshToken.objects.filter(token_family=used.token_family, application=client).exists():
        RefreshToken.revoke_family(used.token_family)


def _latest(**which: Any) -> RefreshToken | None:
    """The unused token, or the last used one: a value is unique among the unused alone."""
    rows = RefreshToken.objects.filter(**which).select_related("user", "access_token")
    return rows.order_by(F("revoked").desc(nulls_first=True)).first()


def _was_raced(used: RefreshToken) -> bool:
    """Whether the token has been used within RACE_SECONDS and what it was used for is still good."""
    recent = used.revoked > timezone.now() - timedelta(seconds=RACE_SECONDS)
    return bool(recent and AccessToken.objects.filter(source_refresh_token=used).exists())


def _is_renewable(unused: RefreshToken) -> bool:
    """Whether it has its access token, and that ended less than the lifetime of refresh tokens ago."""
    if unused.access_token is None:
        return False
    lifetime = timedelta(seconds=settings.OAUTH2_PROVIDER["REFRESH_TOKEN_EXPIRE_SECONDS"])
    return bool(unused.access_token.expires + lifetime > timezone.now())


def invalid_target(**kwargs: Any) -> errors.CustomOAuth2Error:
    """The error of RFC 8707, section 2."""
    said = f"This server issues tokens for one resource, {settings.PUBLIC_URL}/mcp."
    return errors.CustomOAuth2Error("invalid_target", description=said, **kwargs)


class GrantableScopes(SettingsScopes):  # type: ignore[misc] # the library publishes no types
    """All but acting for others, which is an operator's to give."""

    def get_available_scopes(self, *args: Any, **kwargs: Any) -> list[str]:
        return [scope for scope in settings.SCOPES if scope != ACT_AS]
