"""The one resource that is protected here: its identifier, and where its metadata is (RFC 9728)."""

from collections.abc import Iterable

from django.conf import settings

from todo_mcp.auth.oauth.settings import MCP_PATH

BASIC_SCOPES = "tasks:read tasks:write"  # what a client that knows nothing yet should ask for


def identifier() -> str:
    """The resource identifier (RFC 9728, section 1.2): the address of /mcp."""
    return f"{settings.PUBLIC_URL}{MCP_PATH}"


def metadata_url() -> str:
    """Where the metadata of the resource is (RFC 9728, section 3.1)."""
    return f"{settings.PUBLIC_URL}/.well-known/oauth-protected-resource{MCP_PATH}"


def is_ours(resource: object) -> bool:
    """Whether a resource indicator (RFC 8707) means this server; clients write its address in these ways."""
    return resource in (identifier(), f"{identifier()}/", settings.PUBLIC_URL, f"{settings.PUBLIC_URL}/")


def is_audience(audiences: Iterable[object]) -> bool:
    """Whether a token with these audiences is for us; without any it was made by the operator, for nothing else."""
    listed = list(audiences)
    return not listed or any(is_ours(audience) for audience in listed)


def challenge(*, error: str = "", scope: str = BASIC_SCOPES) -> str:
    """The value of WWW-Authenticate (RFC 6750, section 3, and RFC 9728, section 5.1)."""
    if error == "insufficient_scope":
        return f'Bearer error="{error}", scope="{scope}", resource_metadata="{metadata_url()}"'
    invalid = f', error="{error}"' if error else ""
    return f'Bearer resource_metadata="{metadata_url()}", scope="{scope}"{invalid}'
