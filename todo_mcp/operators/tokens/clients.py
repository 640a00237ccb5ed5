"""The pages of OAuth clients: those that registered themselves or publish a metadata document."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from oauth2_provider.models import AccessToken, Application

from todo_mcp.admin_kit.actions import RowAction
from todo_mcp.admin_kit.base import BaseAdmin, isolated, moment, time_column
from todo_mcp.admin_kit.filters import UserFilter
from todo_mcp.auth.oauth.clients import document_host
from todo_mcp.auth.oauth.connected_apps import oauth_clients
from todo_mcp.auth.revocation import by_operator, is_usable
from todo_mcp.auth.tokens import revoke_all
from todo_mcp.operators.tokens.access import REVOKE, SeenWithTokens, short
from todo_mcp.operators.tokens.connections import ConnectionPages, connections
from todo_mcp.statistics.models import TokenUse

SOURCES = {
    Application.RegistrationSource.DCR: "registered itself",
    Application.RegistrationSource.CIMD: "published metadata",
}
LISTS = [("Tokens", "oauth2_provider_accesstoken"), ("Revoked tokens", "access_revokedtoken")]


class ConnectedUserFilter(UserFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        tokens = AccessToken.objects.filter(is_usable(), application=OuterRef("pk"), user_id=self.value())
        return queryset.filter(Exists(tokens)) if self.value() else queryset


class SourceFilter(admin.SimpleListFilter):
    title = "source"
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, label.capitalize()) for value, label in SOURCES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(registration_source=self.value()) if self.value() else queryset


@admin.register(Application)
class ClientAdmin(SeenWithTokens, ConnectionPages, BaseAdmin):
    change_form_outer_after_template = "admin/client_page.html"
    list_display = ["shown_name", "host", "source", "registered", "users", "tokens", "used"]
    list_filter = [SourceFilter, ConnectedUserFilter]
    search_fields = ["name__icontains", "client_id__icontains"]
    search_help_text = "Part of a name or of a client id"
    search_user = "accesstoken__user_id"
    ordering = ["-id"]
    sortable_by = ()
    readonly_fields = ("shown_name", "host", "source", "shown_id", "redirects", "registered", "users", "tokens", "used")
    fieldsets = [
        (
            None,
            {
                "fields": (
                    "shown_name",
                    "host",
                    "source",
                    "shown_id",
                    "redirects",
                    "registered",
                    ("users", "tokens"),
                    "used",
                )
            },
        )
    ]
    row_actions = [
        RowAction(
            name="revoke_client",
            label="Revoke all tokens",
            done="Revoked all tokens",
            of=" of",
            permission=REVOKE,
            confirm="The client is refused for every user from the next call on. Each user must connect it again.",
            asks_reason=True,
            perform=lambda client, by, reason: revoke_all(application_id=client.pk, cause=by_operator(by, reason)),
        )
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return oauth_clients()

    def prepare_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        """Add the users, the usable tokens and the last use of each client, with two queries."""
        ids = [row.pk for row in rows]
        tokens = AccessToken.objects.filter(is_usable(), application__in=ids).values("application")
        counts = {
            row["application"]: row
            for row in tokens.annotate(users=Count("user", distinct=True), tokens=Count("pk")).order_by()
        }
        uses = TokenUse.objects.filter(token__application__in=ids).values_list("token__application")
        last = dict(uses.annotate(at=Max("last_used_at")))
        for row in rows:
            row.counts, row.used_at = counts.get(row.pk, {"users": 0, "tokens": 0}), last.get(row.pk)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        if client := super().get_object(request, object_id, from_field):
            self.prepare_rows(request, [client])
        return client

    def describe(self, row: Any) -> str:
        return str(row.name or "Without a name")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if client := kwargs.get("obj"):
            context["may_revoke"] = request.user.has_perm(REVOKE)
            context["connections"] = connections(application_id=client.pk)
            context["has_more"] = client.counts["users"] > len(context["connections"])
            context["row_links"] = [
                (label, reverse(f"admin:{model}_changelist", query={"client": client.pk})) for label, model in LISTS
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    def matching(self, word: str) -> Q:
        return Q(pk__in=Application.objects.filter(super().matching(word)).values("pk"))  # a client once

    @admin.display(description="name (self-reported)")
    def shown_name(self, client: Any) -> SafeString:
        return short(self.describe(client))

    @admin.display(description="vouched for by")
    def host(self, client: Any) -> SafeString | str:
        """The host that publishes the client's metadata. Nobody verifies the name of another client."""
        return isolated(host) if (host := document_host(client)) else "nobody"

    @admin.display(description="source")
    def source(self, client: Any) -> str:
        return SOURCES[client.registration_source]

    @admin.display(description="client id")
    def shown_id(self, client: Any) -> SafeString:
        return isolated(client.client_id)

    @admin.display(description="redirect URIs")
    def redirects(self, client: Any) -> SafeString | str:
        return format_html_join(mark_safe("<br>"), "<bdi>{}</bdi>", ((uri,) for uri in client.redirect_uris.split()))

    @admin.display(description="users")
    def users(self, client: Any) -> int:
        return int(client.counts["users"])

    @admin.display(description="usable tokens")
    def tokens(self, client: Any) -> int:
        return int(client.counts["tokens"])

    @admin.display(description="last used")
    def used(self, client: Any) -> SafeString | str:
        return moment(client.used_at) if client.used_at else "not known"

    registered = time_column("created", "registered")
