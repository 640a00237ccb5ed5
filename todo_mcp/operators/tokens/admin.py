"""The list of tokens and the page of a token, which stays readable after the token was revoked."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, ExpressionWrapper, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from oauth2_provider.models import AccessToken

from todo_mcp.admin_kit.actions import RowAction
from todo_mcp.admin_kit.base import BaseAdmin, badge_column, moment, positive, time_column
from todo_mcp.admin_kit.filters import UserFilter
from todo_mcp.auth.revocation import by_operator, is_usable, source_of
from todo_mcp.auth.tokens import NEVER, checksum, revoke_token
from todo_mcp.operators.tokens.access import holder_of, scopes_of, short, source_shown
from todo_mcp.operators.tokens.filters import DEACTIVATED, RENEWABLE, ClientFilter, KindFilter, StateFilter
from todo_mcp.operators.tokens.issuing import IssueForm, hold, lines_for, take
from todo_mcp.operators.tokens.page import find_revoked, links_of, page_of
from todo_mcp.statistics.token_use import last_used

_STATES = {"valid": "success", RENEWABLE: "info", DEACTIVATED: "warning", "expired": "warning", "revoked": "danger"}


@admin.register(AccessToken)
class TokenAdmin(BaseAdmin):
    form = IssueForm
    change_form_template = "admin/token_change.html"
    change_form_outer_after_template = "admin/token_page.html"
    list_display = ["holder", "name", "state", "short_scopes", "origin", "used", "until"]
    list_display_links = ["name"]
    list_filter = [KindFilter, StateFilter, UserFilter, ClientFilter]
    search_fields = ["user__id__startswith", "application__name__icontains"]
    search_help_text = "Start of a user's id, a name, or user:ID"
    ordering = ["-id"]
    sortable_by = ()
    readonly_fields = ("holder", "name", "scopes", "origin", "issued", "used", "until", "state")
    add_fieldsets = [(None, {"fields": ["user_id", "name", "scopes", "days"]})]
    fieldsets = [(None, {"fields": ("holder", "name", "scopes", "origin", ("issued", "used"), ("until", "state"))})]
    row_actions = [
        RowAction(
            name="revoke_token",
            label="Revoke",
            done="Revoked",
            permission="delete",
            confirm="Clients that use this token are refused from the next call on. They need a new token.",
            asks_reason=True,
            applies=lambda token: token.usable,
            perform=lambda token, by, reason: revoke_token(token_id=token.pk, cause=by_operator(by, reason)),
        )
    ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        usable = ExpressionWrapper(is_usable(), BooleanField())
        tokens = super().get_queryset(request).select_related("application", "assertion", "user")
        annotated: QuerySet[Any] = tokens.annotate(usable=usable)
        return annotated

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if obj else ()

    def prepare_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        use_times = last_used(row.pk for row in rows)
        for row in rows:
            row.used_at = use_times.get(row.pk)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        if token := super().get_object(request, object_id, from_field):
            self.prepare_rows(request, [token])
            return token
        number = positive(object_id)
        return find_revoked(number) if number is not None else None

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list. Revoked tokens have one of their own, with the same filters by user and client."""
        if request.method == "GET" and request.GET.get("state") == "revoked":
            query = {name: request.GET[name] for name in ("q", "user", "client", "kind") if request.GET.get(name)}
            return HttpResponseRedirect(reverse("admin:access_revokedtoken_changelist", query=query))
        return super().changelist_view(request, extra_context)

    def describe(self, row: Any) -> str:
        return f"{row.user_id or 'any user'}: {self._name(row)}"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.issued_now = form.issue()
        record = AccessToken.objects.get(token_checksum=checksum(obj.issued_now))
        obj.pk, obj.user_id = record.pk, record.user_id

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        hold(request, obj.pk, obj.issued_now)
        return HttpResponseRedirect(self._url("issued", str(obj.pk)))

    def get_urls(self) -> list[URLPattern]:
        issued = self.admin_site.admin_view(self.issued_view)
        return [path("<int:token_id>/issued/", issued, name="oauth2_provider_accesstoken_issued"), *super().get_urls()]

    def issued_view(self, request: HttpRequest, token_id: int) -> HttpResponse:
        """Show the new token to the operator who issued it, once. It is never in a message, a log or a cache."""
        token = self.get_object(request, str(token_id))
        if not self.has_add_permission(request) or token is None:
            raise PermissionDenied
        value = take(request, token_id)
        context = {
            **self.admin_site.each_context(request),
            "title": "Token issued",
            "opts": self.opts,
            "token": token,
            "name": self._name(token),
            "value": value,
            "lines": lines_for(token, value) if value else [],
            "token_url": self._url("change", str(token_id)) if self.has_view_permission(request) else "",
        }
        response = TemplateResponse(request, "admin/token_issued.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        if token := kwargs.get("obj"):
            context |= {"row_links": list(links_of(request, token)), "page": page_of(request, token)}
        return super().render_change_form(request, context, *args, **kwargs)

    def _name(self, token: Any) -> str:
        record = getattr(token, "record", None)
        return str(record.name if record else token.application.name if token.application else "—")

    @admin.display(description="acts for")
    def holder(self, token: Any) -> SafeString | str:
        return holder_of(token)

    @admin.display(description="name")
    def name(self, token: Any) -> SafeString:
        return short(self._name(token))

    @admin.display(description="scopes")
    def scopes(self, token: Any) -> str:
        return ", ".join(token.scope.split())

    @admin.display(description="scopes")
    def short_scopes(self, token: Any) -> SafeString:
        return scopes_of(token)

    @admin.display(description="source")
    def origin(self, token: Any) -> SafeString | str:
        """Who decided that there is this token: an identity provider, the person, or an operator."""
        record = getattr(token, "record", None)
        return source_shown(record.source if record else source_of(token))

    @admin.display(description="last used")
    def used(self, token: Any) -> SafeString | str:
        return moment(token.used_at) if token.used_at else "never"

    @admin.display(description="expires")
    def until(self, token: Any) -> SafeString | str:
        return "never" if token.expires >= NEVER else moment(token.expires)

    @badge_column("state", _STATES)
    def state(self, token: Any) -> str:
        if hasattr(token, "record"):
            return "revoked"
        if token.usable and token.user and not token.user.is_active:
            return DEACTIVATED
        if token.is_expired():
            return RENEWABLE if token.usable else "expired"
        return "valid"

    issued = time_column("created", "issued")
