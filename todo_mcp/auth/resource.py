"""The only protected resource: its identifier, the URL of its metadata (RFC 9728), and its challenges."""

from collections.abc import Iterable

from django.conf import settings

from todo_mcp.auth.oauth.settings import MCP_PATH

BASIC_SCOPES = "tasks:read tasks:write"  # the scopes that a new client should ask for


def identifier() -> str:
    """The resource identifier (RFC 9728, section 1.2): the URL of /mcp."""
    return f"{settings.PUBLIC_URL}{MCP_PATH}"


def metadata_url() -> str:
    """The URL of the resource metadata (RFC 9728, section 3.1)."""
    return f"{settings.PUBLIC_URL}/.well-known/oauth-protected-resource{MCP_PATH}"


def is_ours(resource: object) -> bool:
    """Whether a resource indicator (RFC 8707) names this server. Clients use any of these four spellings."""
    return resource in (identifier(), f"{identifier()}/", settings.PUBLIC_URL, f"{settings.PUBLIC_URL}/")


def is_audience(audiences: Iterable[object]) -> bool:
    """Whether a token with these audiences is for this server.

    A token without audiences was issued by an operator of this server, and is only for this server.
    """
    listed = list(audiences)
    return not listed or any(is_ours(audience) for audience in listed)


def challenge(*, error: str = "", scope: str = BASIC_SCOPES) -> str:
    """The value of WWW-Authenticate (RFC 6750, section 3, and RFC 9728, section 5.1)."""
    if error == "insufficient_scope":
        return f'Bearer error="{error}", scope="{scope}", resource_metadata="{metadata_url()}"'
    invalid = f', error="{error}"' if error else ""
    return f'Bearer resource_metadata="{metadata_url()}", scope="{scope}"{invalid}'
