"""The filters of the lists of tokens and of revoked tokens."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import TextFilter

from todo_mcp.admin_kit.base import positive
from todo_mcp.auth.revocation import is_usable

DEACTIVATED = "user deactivated"
RENEWABLE = "can be renewed"


class KindFilter(admin.SimpleListFilter):
    title = "acts for"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("user", "One user"), ("service", "Any user (a service)")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(user__isnull=self.value() == "service") if self.value() else queryset


class StateFilter(admin.SimpleListFilter):
    """Revoked tokens have a list of their own; ``TokenAdmin.changelist_view`` leads there."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("valid", "Valid"),
            ("renewable", "Expired, can be renewed"),
            ("deactivated", "User deactivated"),
            ("expired", "Expired"),
            ("revoked", "Revoked"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        lives, is_active = Q(expires__gt=timezone.now()), Q(user=None) | Q(user__is_active=True)
        conditions = {
            "valid": lives & is_active,
            "renewable": ~lives & is_usable() & is_active,
            "deactivated": is_usable() & Q(user__is_active=False),
            "expired": ~lives,
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


class ClientFilter(TextFilter):  # type: ignore[misc] # unfold publishes no types
    """By an OAuth client: its id, or its exact name. Tokens that an operator issued have a name too."""

    title = "client (id or exact name)"
    parameter_name = "client"
    template = "admin/filter_text.html"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        by_id = positive(value)
        return queryset.filter(application__name=value) if by_id is None else queryset.filter(application=by_id)
