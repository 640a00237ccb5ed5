"""The token pages of the admin: list, issue and revoke tokens. A new token is shown only once."""

from datetime import timedelta
from typing import Any

from django import forms
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from oauth2_provider.models import AccessToken, Application
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from todo_mcp.admin_kit.actions import RowAction
from todo_mcp.admin_kit.base import BaseAdmin, badge_column, isolated, moment, time_column, user_link
from todo_mcp.admin_kit.filters import UserFilter
from todo_mcp.auth.tokens import ACT_AS, NEVER, find_token, issue_token, revoke_token
from todo_mcp.statistics.token_use import last_used
from todo_mcp.users.models import User

for model in [model for model in admin.site._registry if model._meta.app_label in ("oauth2_provider", "axes")]:
    admin.site.unregister(model)  # their pages are slow on large tables and bypass our services

# The names that operators read above the list. The package's migrations do not depend on them.
apps.get_app_config("oauth2_provider").verbose_name = "Access"
AccessToken._meta.verbose_name, AccessToken._meta.verbose_name_plural = "token", "tokens"


class KindFilter(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("user", "User token"), ("service", "Service token")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(user__isnull=self.value() == "service") if self.value() else queryset


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("valid", "Valid"), ("expired", "Expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        conditions = {"valid": {"expires__gt": now}, "expired": {"expires__lte": now}}
        return queryset.filter(**conditions.get(self.value() or "", {}))


class IssueForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker only
    """The owner, purpose, scopes and lifetime of a new token."""

    user_id = forms.CharField(
        label="User",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The id of the user. Leave this empty for a service token.",
    )
    name = forms.CharField(
        label="Name",
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text="What the token is for, such as a device. For a service token, the name of the service.",
    )
    scopes = forms.MultipleChoiceField(
        choices=list(settings.SCOPES.items()),
        initial=[scope for scope in settings.SCOPES if scope != ACT_AS],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    days = forms.TypedChoiceField(
        label="Expires",
        coerce=int,
        choices=[(30, "in 30 days"), (90, "in 90 days"), (365, "in a year"), (0, "never")],
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = AccessToken
        fields: list[str] = []

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("user_id"):
            if not User.objects.filter(pk=data["user_id"]).exists():
                self.add_error("user_id", "There is no user with this id.")
            if ACT_AS in data.get("scopes", []):
                self.add_error(
                    "scopes", f"{ACT_AS} is only for service tokens. Leave the user empty, or remove this scope."
                )
        elif not data.get("name"):
            self.add_error("user_id", "Enter a user id, or the name of a service.")
        return data

    def issue(self) -> str:
        """Issue the token. Only this call returns it; the database stores a hash."""
        data = self.cleaned_data
        return issue_token(
            user_id=data["user_id"] or None,
            service=None if data["user_id"] else data["name"],
            name=data["name"] if data["user_id"] else "",
            scopes=data["scopes"],
            expires_in=timedelta(days=data["days"]) if data["days"] else None,
        )


@admin.register(AccessToken)
class TokenAdmin(BaseAdmin):
    form = IssueForm
    list_display = ["holder", "name", "scopes", "origin", "issued", "used", "until", "state"]
    list_display_links = ["name"]
    list_filter = [KindFilter, StateFilter, UserFilter]
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
            removes=True,
            perform=lambda token: revoke_token(token_id=token.pk),
        )
    ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        tokens: QuerySet[Any] = super().get_queryset(request).select_related("application", "assertion")
        return tokens

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

    def describe(self, row: Any) -> str:
        holder = row.user_id or "service"
        return f"{holder}: {self._name(row)}"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.issued_now = form.issue()
        obj.pk = getattr(find_token(obj.issued_now), "pk", None)
        obj.user_id = form.cleaned_data["user_id"] or None  # for the operators' log

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show the token on this page only. It is never in a message, a log or a cache."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Token issued",
            "opts": self.opts,
            "token": obj.issued_now,
            "list_url": self._url("changelist"),
        }
        response = TemplateResponse(request, "admin/token_issued.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def _name(self, token: Any) -> str:
        return str(token.application.name) if token.application else "—"

    @admin.display(description="for")
    def holder(self, token: Any) -> SafeString | str:
        return "a service" if token.user_id is None else user_link(token.user_id)

    @admin.display(description="name")
    def name(self, token: Any) -> SafeString:
        return isolated(self._name(token))

    @admin.display(description="scopes")
    def scopes(self, token: Any) -> str:
        return ", ".join(token.scope.split())

    @admin.display(description="granted by")
    def origin(self, token: Any) -> SafeString | str:
        """Who decided that there is this token: an identity provider, the person, or an operator."""
        if assertion := getattr(token, "assertion", None):
            return isolated(assertion.issuer)
        is_self_registered = (
            token.application and token.application.registration_source != Application.RegistrationSource.MANUAL
        )
        return "consent" if is_self_registered else "an operator"

    @admin.display(description="last used")
    def used(self, token: Any) -> SafeString | str:
        return moment(token.used_at) if token.used_at else "never"

    @admin.display(description="expires")
    def until(self, token: Any) -> SafeString | str:
        return "never" if token.expires >= NEVER else moment(token.expires)

    @badge_column("state", {"valid": "success", "expired": "warning"})
    def state(self, token: Any) -> str:
        return "expired" if token.is_expired() else "valid"

    issued = time_column("created", "created")
