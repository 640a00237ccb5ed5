"""Endpoints of the authorization server, based on django-oauth-toolkit."""

import json
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse, QueryDict
from django.utils.text import Truncator
from oauth2_provider.exceptions import OAuthToolkitError
from oauth2_provider.http import OAuth2ResponseRedirect
from oauth2_provider.models import AccessToken, Application
from oauth2_provider.oauth2_backends import _add_iss_to_redirect
from oauth2_provider.views import (
    AuthorizationView,
    DynamicClientRegistrationView,
    OAuthProtectedResourceMetadataView,
    OAuthServerMetadataView,
    RevokeTokenView,
    TokenView,
)
from oauthlib.oauth2.rfc6749 import errors

from todo_mcp.admin_kit.page_security import PageHeaders
from todo_mcp.auth import resource
from todo_mcp.auth.oauth.clients import (
    JWT_BEARER,
    BadMetadata,
    count_new_client,
    document_host,
    for_library,
    normalise,
    supported_grants,
)
from todo_mcp.auth.oauth.errors import CHALLENGE_MESSAGE, KEYS_MESSAGE, description, invalid_target, oauth_error
from todo_mcp.auth.oauth.redirects import LOOPBACK, SHOWN_MAX, answer_at, is_private_use, is_registered
from todo_mcp.auth.oauth.scopes import granted_scopes
from todo_mcp.auth.oauth.validator import is_challenge
from todo_mcp.core.errors import KeysUnavailable, Unauthenticated
from todo_mcp.core.strict_json import BadJson, parse
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.telemetry.refused_tokens import record_refusal

ASSERTION_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
REGISTRATION_MAX = 16 * 1024  # bytes


class ServerMetadataView(OAuthServerMetadataView):  # type: ignore[misc] # the library publishes no types
    """Authorization server metadata (RFC 8414)."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().get(request, *args, **kwargs)
        metadata = json.loads(response.content) | {"grant_types_supported": list(supported_grants())}
        if JWT_BEARER in supported_grants():
            metadata["authorization_grant_profiles_supported"] = [ASSERTION_PROFILE]
        response.content = json.dumps(metadata).encode()
        return response


class ResourceMetadataView(OAuthProtectedResourceMetadataView):  # type: ignore[misc] # the library publishes no types
    """Protected resource metadata (RFC 9728)."""

    def get_scopes_supported(self) -> list[str]:
        return resource.BASIC_SCOPES.split()  # only what MCP needs, because clients ask for every scope listed here


class ConsentView(PageHeaders, AuthorizationView):  # type: ignore[misc]
    """The authorization endpoint (RFC 6749, section 3.1). It asks the user for consent every time."""

    template_name = "account/consent.html"
    redirect_uri = ""  # where the answer goes; checked, and spelled as the client asked for it

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        query: QueryDict = request.GET.copy()
        query.pop("approval_prompt", None)  # it would let a client skip the consent page (RFC 8252, section 8.6)
        request.GET = query  # type: ignore[assignment]
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response

    def validate_authorization_request(self, request: HttpRequest) -> tuple[list[str], dict[str, Any]]:
        scopes, credentials = super().validate_authorization_request(request)
        self.redirect_uri = credentials["redirect_uri"]
        error_params = {"state": credentials.get("state")}
        if not all(resource.is_ours(uri) for uri in request.GET.getlist("resource")):
            raise OAuthToolkitError(error=invalid_target(**error_params), redirect_uri=credentials["redirect_uri"])
        challenge = credentials.get("code_challenge") or ""
        if credentials.get("code_challenge_method") != "S256" or not is_challenge(challenge):
            error = errors.InvalidRequestError(CHALLENGE_MESSAGE, **error_params)
            raise OAuthToolkitError(error=error, redirect_uri=credentials["redirect_uri"])
        return scopes, credentials

    def form_valid(self, form: Any) -> HttpResponse:
        resources = form.cleaned_data["resource"].split()
        application = Application.objects.filter(client_id=form.cleaned_data["client_id"]).first()
        self.redirect_uri = form.cleaned_data["redirect_uri"]
        if application is None or not is_registered(self.redirect_uri, application):
            return self.form_invalid(form)
        if not all(resource.is_ours(uri) for uri in resources):
            return self.form_invalid(form)
        response: HttpResponse = super().form_valid(form)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """The form is only invalid if somebody changed it or the client was deleted."""
        return HttpResponseBadRequest("Start again from the app.", content_type="text/plain")

    def error_response(self, error: OAuthToolkitError, application: Any, **kwargs: Any) -> HttpResponse:
        cause = error.oauthlib_error
        cause.description = description(cause.error, cause.description)
        self.redirect_uri = cause.redirect_uri or ""  # checked, unless the error is fatal; then nothing redirects there
        response: HttpResponse = super().error_response(error, application, **kwargs)
        return response

    def redirect(self, redirect_to: str, application: Any) -> OAuth2ResponseRedirect:
        """Redirect to the client. Errors carry ``iss`` too (RFC 9207, section 2)."""
        answer = answer_at(self.redirect_uri, _add_iss_to_redirect(redirect_to, settings.PUBLIC_URL))
        return OAuth2ResponseRedirect(answer, [urlsplit(answer).scheme])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if application := context.get("application"):
            context |= {
                "client_host": document_host(application),
                **_receiver(context["redirect_uri"]),
                "switch_to": self.request.get_full_path(),
            }
        return context


def _receiver(uri: str) -> dict[str, str]:
    """What the consent page says about the receiver of the answer: a host, or the scheme and address of an app."""
    parts = urlsplit(uri)
    if is_private_use(uri):
        return {"redirect_scheme": parts.scheme, "redirect_address": Truncator(uri.partition("?")[0]).chars(SHOWN_MAX)}
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return {"redirect_host": f"a program on this computer ({parts.hostname})"}
    return {"redirect_host": parts.hostname or ""}


class TokenEndpoint(TokenView):  # type: ignore[misc]
    """The token endpoint (RFC 6749, section 3.2), for the supported grants."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        grant = request.POST.get("grant_type")
        if not grant:
            message = "The parameter grant_type is missing. Send it in the body, as application/x-www-form-urlencoded."
            return oauth_error("invalid_request", message)
        if grant not in supported_grants():
            message = f"This server supports only the grants {' and '.join(supported_grants())}. Use one of them."
            return oauth_error("unsupported_grant_type", message)
        # Bypass the library's post: it queries the new token again, and reuse of the code may have revoked it by then.
        try:
            _, headers, body, status = self.create_token_response(request)
        except KeysUnavailable as busy:
            retry = {"Retry-After": str(busy.details["retry_after"]), "Cache-Control": "no-store"}
            return oauth_error("temporarily_unavailable", KEYS_MESSAGE, 503, retry)
        return _with_description(headers, body, status)


class RevocationEndpoint(RevokeTokenView):  # type: ignore[misc]
    """Token revocation (RFC 7009)."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        _, headers, body, status = self.create_revocation_response(request)
        return _with_description(headers, body or "{}", status)


class RegistrationView(DynamicClientRegistrationView):  # type: ignore[misc]
    """Dynamic client registration (RFC 7591), open to everyone and rate-limited.

    Registration management (RFC 7592) is not supported: it would give each stranger a token that never expires.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        wait = count_new_client(request.META.get("REMOTE_ADDR", ""))
        if wait is not None:
            message = f"Too many registrations. Try again in {wait} s."
            return oauth_error("temporarily_unavailable", message, 429, {"Retry-After": str(wait)})
        if len(request.body) > REGISTRATION_MAX:
            return oauth_error("invalid_client_metadata", f"The metadata is larger than {REGISTRATION_MAX} bytes.")
        request.user = AnonymousUser()  # a client belongs to no user, even if a signed-in browser sends this
        try:
            metadata = parse(request.body)
            if not isinstance(metadata, dict):
                raise BadJson("is not an object")
            client = normalise(metadata)
            request._body = json.dumps(for_library(client)).encode()
        except BadJson as bad:
            return oauth_error(
                "invalid_client_metadata", f"The body {bad}. Send the client's metadata as a JSON object."
            )
        except BadMetadata as bad:
            return oauth_error(bad.error, str(bad))
        return self._answer(super().post(request, *args, **kwargs), client)

    def _answer(self, response: JsonResponse, client: dict[str, Any]) -> HttpResponse:
        """The library's answer without its management, and with the registered values that it leaves out."""
        if response.status_code != 201:
            return response
        registration = json.loads(response.content)
        AccessToken.objects.filter(application__client_id=registration["client_id"]).delete()
        for name in ("registration_access_token", "registration_client_uri"):
            del registration[name]
        if "client_secret" in registration:
            registration["client_secret_expires_at"] = 0
            method = client.get("token_endpoint_auth_method", registration["token_endpoint_auth_method"])
            registration["token_endpoint_auth_method"] = method
        if client.get("grant_types") == [JWT_BEARER]:
            registration |= {"grant_types": [JWT_BEARER], "response_types": []}
        else:
            also = [grant for grant in client.get("grant_types", ()) if grant == JWT_BEARER]
            registration |= {"grant_types": registration["grant_types"] + also, "response_types": ["code"]}
        scope = client.get("scope")
        registration["scope"] = " ".join(granted_scopes(scope if isinstance(scope, str) else None))
        return JsonResponse(registration, status=201, headers={"Cache-Control": "no-store"})


def _with_description(headers: dict[str, str], body: str, status: int) -> HttpResponse:
    """The library's response. An error without a description gets one (RFC 6749, section 5.2)."""
    if status == 401:
        record_refusal(Unauthenticated(TokenRule.OAUTH_CLIENT))
    content = json.loads(body)
    if "error" in content:
        content["error_description"] = description(content["error"], content.get("error_description", ""))
    response = JsonResponse(content, status=status)
    for name, value in headers.items():
        response.headers[name] = value
    return response
