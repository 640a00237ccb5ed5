"""Which scopes a person grants to a client. Scopes that this server does not know are ignored."""

from typing import Any

from django.conf import settings
from oauth2_provider.scopes import SettingsScopes

from todo_mcp.auth.tokens import ACT_AS


def grantable() -> list[str]:
    """All scopes except acting for others, which only an operator can grant."""
    return [scope for scope in settings.SCOPES if scope != ACT_AS]


def known_scopes(requested: str | None) -> list[str]:
    """The grantable scopes among those that are asked for, each once, in the order of the request."""
    allowed = grantable()
    return [scope for scope in dict.fromkeys((requested or "").split()) if scope in allowed]


def granted_scopes(requested: str | None) -> list[str]:
    """The scopes to grant (RFC 6749, section 3.3): the known ones, or the defaults if none is known."""
    return known_scopes(requested) or list(settings.OAUTH2_PROVIDER["DEFAULT_SCOPES"])


class GrantableScopes(SettingsScopes):  # type: ignore[misc] # the library publishes no types
    """The scopes that the metadata of the authorization server list."""

    def get_available_scopes(self, *args: Any, **kwargs: Any) -> list[str]:
        return grantable()
