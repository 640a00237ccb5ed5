"""The list of revoked tokens. Each line leads to the page of the token."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from todo_mcp.admin_kit.base import BaseAdmin, BoundedChangeList, isolated, moment, positive, time_column
from todo_mcp.admin_kit.filters import UserFilter, by_days
from todo_mcp.auth.models import RevokedToken
from todo_mcp.operators.tokens.access import SeenWithTokens, holder_of, revoked_by, scopes_of, short
from todo_mcp.operators.tokens.filters import ClientFilter, KindFilter


def token_url(token_id: int) -> str:
    return reverse("admin:oauth2_provider_accesstoken_change", args=[token_id])


class _TokensOfRecords(BoundedChangeList):
    def url_for_result(self, result: Any) -> str:
        return token_url(result.pk)


class ByFilter(admin.SimpleListFilter):
    title = "revoked by"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(by.value, str(by.label).capitalize()) for by in RevokedToken.By]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(revoked_by=self.value()) if self.value() else queryset


@admin.register(RevokedToken)
class RevokedTokenAdmin(SeenWithTokens, BaseAdmin):
    list_display = ["holder", "shown_name", "scopes", "used", "revoked", "who", "why"]
    list_display_links = ["shown_name"]
    list_filter = [ByFilter, KindFilter, UserFilter, ClientFilter, by_days("revoked_at")]
    search_fields = ["user_id__startswith", "name__icontains"]
    search_help_text = "Start of a user's id, a name, or user:ID"
    ordering = ["-revoked_at", "-token_id"]
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return _TokensOfRecords

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        number = positive(object_id)
        return HttpResponseRedirect(token_url(number) if number is not None else self._url("changelist"))

    @admin.display(description="acts for")
    def holder(self, record: RevokedToken) -> SafeString | str:
        return holder_of(record)

    @admin.display(description="name")
    def shown_name(self, record: RevokedToken) -> SafeString:
        return short(record.name or "—")

    @admin.display(description="scopes")
    def scopes(self, record: RevokedToken) -> SafeString:
        return scopes_of(record)

    @admin.display(description="last used")
    def used(self, record: RevokedToken) -> SafeString | str:
        return moment(record.last_used_at) if record.last_used_at else "never"

    @admin.display(description="revoked by")
    def who(self, record: RevokedToken) -> SafeString | str:
        return revoked_by(record)

    @admin.display(description="reason")
    def why(self, record: RevokedToken) -> SafeString:
        return isolated(record.reason or "—")

    revoked = time_column("revoked_at", "revoked")
