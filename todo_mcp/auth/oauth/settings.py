"""The configuration of django-oauth-toolkit, used as the Django setting OAUTH2_PROVIDER."""

from typing import Any

MCP_PATH = "/mcp"
DAY = 24 * 3600
AUTH_METHODS = ["none", "client_secret_post", "client_secret_basic"]

# The library's switches for RFC 9700, the best current practice. All are on.
BEST_PRACTICES = (
    "IMPLICIT_GRANT",
    "PASSWORD_GRANT",
    "PKCE_METHOD",
    "ACCESS_TOKEN_TRANSPORT",
    "AUTHZ_RESPONSE_ISS",
    "TOKEN_STORAGE",
    "REFRESH_TOKEN",
    "REDIRECT_URI_SCHEME",
    "REDIRECT_URI_MATCHING",
    "PKCE_REQUIRED",
)
# The library's check demands that http is never allowed. Native apps need it on loopback (RFC 8252, section 7.3), and
# redirects.py allows it only there.
SILENCED_CHECKS = ["oauth2_provider.E003"]


FLOW = {
    "SCOPES_BACKEND_CLASS": "todo_mcp.auth.oauth.scopes.GrantableScopes",
    "DEFAULT_SCOPES": ["tasks:read", "tasks:write"],
    **{f"COMPLIANT_BCP_RFC9700_{practice}": True for practice in BEST_PRACTICES},
    "OAUTH2_SERVER_CLASS": "todo_mcp.auth.oauth.assertion_grant.TokenServer",
    "OAUTH2_VALIDATOR_CLASS": "todo_mcp.auth.oauth.validator.Validator",
    "ACCESS_TOKEN_GENERATOR": "todo_mcp.auth.tokens.new_token",
    "REFRESH_TOKEN_GENERATOR": "todo_mcp.auth.tokens.new_token",
    "CLIENT_SECRET_HASHER": "sha256_random",  # see hashers.py: this server generates every secret
    "AUTHORIZATION_CODE_EXPIRE_SECONDS": 60,
    "ACCESS_TOKEN_EXPIRE_SECONDS": 15 * 60,
    "REFRESH_TOKEN_EXPIRE_SECONDS": 90 * DAY,  # after its access token expires
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ALLOW_LOCALHOST_LOOPBACK": True,
    "OIDC_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": AUTH_METHODS,
    "OAUTH2_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": AUTH_METHODS,
    "OAUTH2_RESPONSE_TYPES_SUPPORTED": ["code"],
    "OAUTH2_GRANT_TYPES_SUPPORTED": ["authorization_code", "refresh_token"],
}
REGISTRATION = {
    "DCR_ENABLED": True,
    "DCR_REGISTRATION_PERMISSION_CLASSES": ["oauth2_provider.dcr.AllowAllDCRPermission"],
    "CIMD_ENABLED": True,
    "CIMD_METADATA_FETCHER": "todo_mcp.auth.oauth.clients.MetadataFetcher",
    "CIMD_REGISTRATION_PERMISSION_CLASSES": ["todo_mcp.auth.oauth.clients.NewClientLimit"],
    # A request that waits for a document holds a thread, but no place at the gate.
    "CIMD_FETCH_TIMEOUT_SECONDS": 3,
    "CIMD_MAX_CONCURRENT_FETCHES": 8,
}


def oauth_settings(public_url: str, scopes: dict[str, str]) -> dict[str, Any]:
    """Settings for the authorization server and its only resource, both at ``public_url``."""
    return {
        **FLOW,
        **REGISTRATION,
        "SCOPES": scopes,
        "OIDC_ISS_ENDPOINT": public_url,
        "OAUTH2_PROTECTED_RESOURCE_IDENTIFIER": f"{public_url}{MCP_PATH}",
        "OAUTH2_PROTECTED_RESOURCE_AUTHORIZATION_SERVERS": [public_url],
        "OAUTH2_PROTECTED_RESOURCE_NAME": "todo-mcp",
    }
