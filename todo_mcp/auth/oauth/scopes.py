"""Which scopes a person can grant to a client."""

from typing import Any

from django.conf import settings
from oauth2_provider.scopes import SettingsScopes

from todo_mcp.auth.tokens import ACT_AS


class GrantableScopes(SettingsScopes):  # type: ignore[misc] # the library publishes no types
    """All but acting for others, which is an operator's to give."""

    def get_available_scopes(self, *args: Any, **kwargs: Any) -> list[str]:
        return [scope for scope in settings.SCOPES if scope != ACT_AS]
