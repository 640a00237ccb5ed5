"""Errors of the authorization server (RFC 6749, section 5.2). Each says what is wrong and what to do."""

import re

from django.conf import settings
from django.http import JsonResponse
from oauthlib.oauth2.rfc6749 import errors

from todo_mcp.core.token_rules import TokenRule

CHALLENGE_MESSAGE = "Send a code_challenge of 43 characters, BASE64URL(SHA256(code_verifier)), with the method S256."
REUSED_MESSAGE = (
    "This refresh token was replaced or revoked, so all tokens of this connection have ended. Connect again, and then "
    "always use the newest refresh token."
)
OTHER_REDIRECT_MESSAGE = "The redirect_uri differs from the one that the code was sent to. Send exactly that one."
WIDER_MESSAGE = "More was asked for than was granted. Ask for fewer scopes, or connect again to be granted more."
KEYS_MESSAGE = (
    "The keys of the identity provider cannot be fetched now, so the assertion was not checked. Send it again later."
)
_FORM = "Send the parameters in the body, as application/x-www-form-urlencoded."
# For errors that the library leaves without a description.
DESCRIPTIONS = {
    "invalid_request": f"The request is not valid. {_FORM}",
    "invalid_client": "The client is unknown, or it did not use the authentication method that it is registered with. "
    "Send its client_id and, if it has one, its client_secret; or register again.",
    "invalid_grant": "The code or refresh token is unknown, expired, already used, or belongs to another client, "
    "or the code_verifier does not fit the code_challenge. Connect again.",
    "invalid_scope": WIDER_MESSAGE,
    "unauthorized_client": "The client may not use this grant. Register again, with the grant authorization_code "
    "and the response type code.",
    "unsupported_response_type": "This server supports only response_type=code. Send that.",
    "unsupported_token_type": "Send an access token or a refresh token.",
}
# Better descriptions than the library's own.
_BETTER = {
    "Missing response_type parameter.": "The parameter response_type is missing. Send response_type=code.",
    "Code challenge required.": CHALLENGE_MESSAGE,
    "Transform algorithm not supported.": CHALLENGE_MESSAGE,
    "Code verifier required.": "The parameter code_verifier is missing. Send the one that belongs to the "
    "code_challenge.",
    "Missing code parameter.": "The parameter code is missing. Send the code from the redirect.",
    "Missing refresh token parameter.": "The parameter refresh_token is missing. Send the newest refresh token.",
    "Missing token parameter.": "The parameter token is missing. Send the token that shall end.",
    "URL query parameters are not allowed": f"The address has parameters. {_FORM}",
    "Unable to parse query string": "The parameters in the address cannot be read. Encode them as a form does.",
    "Missing client_id parameter.": "The parameter client_id is missing. Register the client at /oauth/register, "
    "or publish its metadata document, and send its id.",
    "Invalid client_id parameter value.": "The client_id is unknown. Remove this server in the app and add it again, "
    "so that the app registers again.",
    "Invalid redirect URI.": "The redirect_uri is not a complete address. Send one that the client has registered.",
    "Missing redirect URI.": "The parameter redirect_uri is missing. Send one that the client has registered.",
    "Mismatching redirect URI.": "The redirect_uri is not registered for this client. Send it exactly as registered, "
    "or register again.",
}
_DUPLICATE = re.compile(r"Duplicate (\w+) parameter\.")


def description(error: str, text: str = "") -> str:
    """The description of an error, given the library's own text or none."""
    if match := _DUPLICATE.fullmatch(text):
        return repeated(match[1])
    return _BETTER.get(text, text) or DESCRIPTIONS.get(error, "")


def repeated(name: str) -> str:
    """The description for a parameter that is sent twice. The name comes from the request."""
    shown = name if name.isascii() and name.isidentifier() and len(name) <= 40 else "of this name"
    return f"The parameter {shown} is repeated. Send it once."


def oauth_error(error: str, message: str, status: int = 400, headers: dict[str, str] | None = None) -> JsonResponse:
    return JsonResponse({"error": error, "error_description": message}, status=status, headers=headers)


def invalid_target(**kwargs: object) -> errors.CustomOAuth2Error:
    """The error of RFC 8707, section 2."""
    message = f"This server issues tokens for one resource. Send resource={settings.PUBLIC_URL}/mcp, or leave it out."
    return errors.CustomOAuth2Error("invalid_target", description=message, **kwargs)


def refused_assertion(rule: TokenRule, **kwargs: object) -> errors.InvalidGrantError:
    """The error for an identity assertion that breaks this rule (RFC 7523, section 3.1)."""
    message = (
        f"The assertion breaks the rule {rule}. Send an unused ID-JAG that names this client as client_id and "
        f"{settings.PUBLIC_URL} as aud, from a provider that this server's operator trusts."
    )
    return errors.InvalidGrantError(message, **kwargs)
