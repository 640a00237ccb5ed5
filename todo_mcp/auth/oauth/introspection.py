"""Token introspection (RFC 7662)."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View
from oauth2_provider.models import AccessToken
from oauth2_provider.oauth2_backends import get_oauthlib_core
from oauthlib.common import Request as OAuthlibRequest

from todo_mcp.auth import resource
from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.oauth.errors import oauth_error
from todo_mcp.auth.principal import Principal
from todo_mcp.auth.tokens import ACT_AS, checksum
from todo_mcp.core.errors import TodoError, Unauthenticated
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.telemetry.refused_tokens import record_refusal


@method_decorator(csrf_exempt, name="dispatch")
class IntrospectionView(View):
    """Token introspection (RFC 7662). A service token may ask about any token, a client about its own tokens."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            allowed = self._allowed_tokens(request)
        except TodoError as error:
            return oauth_error(error.name, error.message, error.code)
        except Unauthenticated as error:
            record_refusal(error)
            headers = {"WWW-Authenticate": f"Basic, {resource.challenge(scope=ACT_AS)}"}
            return oauth_error("invalid_client", "Send a service token, or the client's own secret.", 401, headers)
        token = request.POST.get("token", "")
        if not token:
            message = "The parameter token is missing. Send it in the body, as application/x-www-form-urlencoded."
            return oauth_error("invalid_request", message)
        records = AccessToken.objects.filter(token_checksum=checksum(token), **allowed)
        record = records.select_related("application").first()
        if record is None:
            return JsonResponse({"active": False})
        try:
            return JsonResponse(_description(record, authenticate(token)))
        except Unauthenticated:
            return JsonResponse({"active": False})

    def _allowed_tokens(self, request: HttpRequest) -> dict[str, Any]:
        """A filter for the tokens that the caller may ask about.

        Raises:
            Unauthenticated: the caller may not ask at all.
        """
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            caller = authenticate(credentials.strip())
            if caller.user_id is not None or ACT_AS not in caller.scopes:
                raise Unauthenticated(TokenRule.NOT_A_SERVICE)
            return {}
        core = get_oauthlib_core()
        oauth_request = OAuthlibRequest(*core._extract_params(request))
        if not core.server.request_validator.authenticate_client(oauth_request):
            raise Unauthenticated(TokenRule.OAUTH_CLIENT)
        return {"application": oauth_request.client}


def _description(record: AccessToken, principal: Principal) -> dict[str, Any]:
    """The response for a valid token (RFC 7662, section 2.2)."""
    return {
        "active": True,
        "scope": " ".join(sorted(principal.scopes)),
        "client_id": record.application.client_id,
        "exp": int(record.expires.timestamp()),
        "iat": int(record.created.timestamp()),
        "iss": settings.PUBLIC_URL,
        "aud": resource.identifier(),
        "token_type": "Bearer",
        **({"sub": principal.user_id, "username": principal.user_id} if principal.user_id else {}),
    }
