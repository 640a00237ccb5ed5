"""What the pages of tokens, revoked tokens and OAuth clients share: who may see them, and columns."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from oauth2_provider.models import AccessToken, Application

from todo_mcp.admin_kit.base import ReadOnly, isolated, user_link
from todo_mcp.auth.models import RevokedToken

_DEEDS = {"read": "r", "write": "w", "act_as": "act as"}
VIEW, REVOKE = "oauth2_provider.view_accesstoken", "oauth2_provider.delete_accesstoken"

for model in [model for model in admin.site._registry if model._meta.app_label in ("oauth2_provider", "axes")]:
    admin.site.unregister(model)  # their pages are slow on large tables and bypass our services

# The names that operators read above the lists. The package's migrations do not depend on them.
apps.get_app_config("oauth2_provider").verbose_name = apps.get_app_config("access").verbose_name = "Access"
AccessToken._meta.verbose_name, AccessToken._meta.verbose_name_plural = "token", "tokens"
Application._meta.verbose_name, Application._meta.verbose_name_plural = "OAuth client", "OAuth clients"


class SeenWithTokens(ReadOnly):
    """Mixin for pages that an operator may see, but not edit, if they may see tokens."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(VIEW)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(VIEW)


def holder_of(token: Any) -> SafeString | str:
    """For whom the token acts: a link to its user. A service may name any user."""
    return "any user" if token.user_id is None else user_link(token.user_id)


def short(text: str) -> SafeString:
    """A text that may be long, cut by the style sheet. The tooltip has all of it."""
    return format_html('<bdi class="todo-short" title="{}">{}</bdi>', text, text)


def scopes_of(token: Any) -> SafeString:
    """The scopes in few characters, such as "tasks r/w". The tooltip has their names."""
    areas: dict[str, list[str]] = {}
    for scope in token.scope.split():
        area, _, deed = scope.partition(":")
        areas.setdefault(area, []).append(_DEEDS.get(deed, deed))
    names = ", ".join(f"{area} {'/'.join(deeds)}" for area, deeds in areas.items())
    return format_html('<span title="{}">{}</span>', token.scope, names)


def source_shown(source: str) -> SafeString | str:
    """The source of a token; an identity provider's address is isolated."""
    return source if source in ("consent", "an operator") else isolated(source)


def revoked_by(record: RevokedToken) -> SafeString | str:
    """Who revoked the token: a link to the operator, or a word for others."""
    return user_link(record.operator_id) if record.operator_id else record.get_revoked_by_display()
