"""Admin pages of users and groups. Only a superuser can create or change operators."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import ManyToManyField
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanSwitchWidget,
)

from todo_mcp.admin_kit.actions import RowAction
from todo_mcp.admin_kit.base import BaseAdmin, SafeLookups, badge_column, isolated, time_column
from todo_mcp.admin_kit.filters import by_days
from todo_mcp.admin_kit.given_back import GivesBackAdmin
from todo_mcp.admin_kit.zone_field import ZoneField
from todo_mcp.auth.revocation import by_operator
from todo_mcp.auth.tokens import revoke_all
from todo_mcp.operators.password_link import PasswordLinkAdmin
from todo_mcp.operators.tokens.access import REVOKE
from todo_mcp.operators.user_data import count_user, delete_user, export_user
from todo_mcp.operators.user_page import links, may_export, overview
from todo_mcp.users import services
from todo_mcp.users.models import User

# Django's pair of lists needs a script, is wider than a telephone, and a screen reader cannot tell the lists apart.
CHECKBOXES: dict[Any, Any] = {ManyToManyField: {"widget": UnfoldAdminCheckboxSelectMultipleWidget}}
SUPERUSER_FIELDS = ("is_staff", "is_superuser", "groups")


class AddUserForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker only
    """The form for a new user. Most users have only tokens. Who signs in gets a link to choose a password."""

    time_zone = ZoneField(widget=UnfoldAdminSelectWidget, help_text="In which the person's days and times are read.")
    signs_in = forms.BooleanField(
        label="Signs in with a password",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="For operators of this admin, and for people who connect apps with OAuth. "
        "You get a link to hand over, with which the person chooses the password.",
    )

    class Meta:
        model = User
        fields = ("id", "name", "email", "time_zone")


class EditUserForm(UserChangeForm):  # type: ignore[type-arg] # generic to the type checker only
    time_zone = ZoneField(widget=UnfoldAdminSelectWidget, help_text="In which the person's days and times are read.")

    class Meta:
        model = User
        fields = "__all__"


@admin.register(User)
class UserAdmin(PasswordLinkAdmin, DjangoUserAdmin, BaseAdmin):  # type: ignore[type-arg, misc] # generic to the type checker only
    form = EditUserForm
    add_form = AddUserForm
    add_form_template = BaseAdmin.change_form_template
    change_form_template = BaseAdmin.change_form_template
    change_form_outer_after_template = "admin/user_overview.html"
    history_anchor = "#log-title"
    list_display = ["shown_id", "shown_name", "shown_email", "zone", "active", "role", "created"]
    list_filter = ["is_active", "is_staff", by_days("created_at")]
    search_fields = ["id__startswith", "name__icontains", "email__icontains"]
    search_help_text = "Start of an id, part of a name or email"
    search_user = "pk"
    ordering = ["id"]
    sortable_by = ()
    filter_horizontal = ()
    formfield_overrides = CHECKBOXES
    readonly_fields = ["active", "created", "signed_in", "has_password"]
    fieldsets = [
        (None, {"fields": ["id", "name", "email", "time_zone", ("active", "created"), "signed_in"]}),
        (
            "Sign-in and permissions",
            {"classes": ["collapse"], "fields": ["has_password", "is_staff", "is_superuser", "groups"]},
        ),
    ]
    add_fieldsets = [(None, {"fields": ["id", "name", "email", "time_zone", "signs_in"]})]
    row_actions = [
        RowAction(
            name="activate_user",
            label="Activate",
            done="Activated",
            perform=lambda user: services.set_active(user_id=user.pk, active=True),
            applies=lambda user: not user.is_active,
            unless="already active",
        ),
        RowAction(
            name="deactivate_user",
            label="Deactivate",
            done="Deactivated",
            confirm="Their tokens and sign-ins are refused from the next call on. Nothing is deleted.",
            perform=lambda user: services.set_active(user_id=user.pk, active=False),
            applies=lambda user: user.is_active,
            unless="already deactivated",
        ),
        RowAction(
            name="revoke_all_tokens",
            label="Revoke all tokens",
            done="Revoked all tokens",
            of=" of",
            permission=REVOKE,
            confirm="Every client and script of the user is refused from the next call on, and each connected app is "
            "disconnected. They need new tokens.",
            asks_reason=True,
            on_any_row=True,
            perform=lambda user, by, reason: revoke_all(user_id=user.pk, cause=by_operator(by, reason)),
        ),
        RowAction(
            name="delete_user",
            label="Erase",
            done="Erased",
            permission="delete",
            confirm="The user's tasks, task history, conversations and tokens are erased now. This cannot be undone.",
            typed=True,
            removes=True,
            receipt=True,
            perform=lambda user: delete_user(user_id=user.pk),
        ),
    ]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or self._may_change_account(request, obj))

    may_act_unless = "your own account, or an operator's, which only a superuser may change"

    def consequences(self, row: User) -> dict[str, int]:
        return count_user(user_id=row.pk)

    def may_act(self, request: HttpRequest, row: User) -> bool:
        return self._may_change_account(request, row) and row.pk != request.user.pk  # do not lock yourself out

    def _may_change_account(self, request: HttpRequest, user: User) -> bool:
        """Only a superuser may change an operator: whoever sets an operator's password can become that operator."""
        return bool(getattr(request.user, "is_superuser", False)) or not (user.is_staff or user.is_superuser)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fields = [*super().get_readonly_fields(request, obj), *(["id"] if obj else [])]
        return fields if getattr(request.user, "is_superuser", False) else [*fields, *SUPERUSER_FIELDS]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return BaseAdmin.lookup_allowed(self, lookup, value, request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=[name for name in form.changed_data if name != "groups"])
            return
        names = ("name", "email", "time_zone")
        services.create_user(user_id=obj.pk, **{name: form.cleaned_data[name] for name in names})
        obj.refresh_from_db()
        obj.signs_in = form.cleaned_data["signs_in"]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Go on with the link for a person who signs in, otherwise with the user's page, which offers a token."""
        response = super().response_add(request, obj, post_url_continue)
        return self.make_link(request, obj) if obj.signs_in and self.may_link(request, obj) else response

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(require_POST(self.export_view))
        return [path("<path:object_id>/export/", export, name="users_user_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """All data of a user as a JSON file. Django's admin log records the export."""
        user = self.get_object(request, unquote(object_id))
        if user is None or not (self.has_view_permission(request, user) and may_export(request)):
            raise PermissionDenied
        response = JsonResponse(export_user(user_id=user.pk), json_dumps_params={"indent": 1, "ensure_ascii": False})
        response.headers["Content-Disposition"] = content_disposition_header(True, f"{user.pk}.json") or ""
        response.headers["Cache-Control"] = "no-store"
        self._log(request, [user], CHANGE, "Exported")
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if user := kwargs.get("obj"):
            password = [("Link to choose a password…", "../password/")] if self.may_link(request, user) else []
            context["row_links"] = links(request, user.pk) + password
            context["row_posts"] = [("Export", self._url("export", quote(user.pk)))] if may_export(request) else []
            context["overview"] = overview(request, user.pk, user.time_zone)
            context["may_revoke"] = request.user.has_perm(REVOKE)
            context["may_issue"] = request.user.has_perm("oauth2_provider.add_accesstoken")
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="password", boolean=True)
    def has_password(self, user: User) -> bool:
        return user.has_usable_password()

    @admin.display(description="user id")
    def shown_id(self, user: User) -> SafeString:
        return isolated(user.pk)

    @admin.display(description="name")
    def shown_name(self, user: User) -> SafeString:
        return isolated(user.name or "—")

    @admin.display(description="email")
    def shown_email(self, user: User) -> SafeString:
        return isolated(user.email or "—")

    @admin.display(description="time zone")
    def zone(self, user: User) -> str:
        return user.time_zone or "—"

    @admin.display(description="active", boolean=True)
    def active(self, user: User) -> bool:
        return user.is_active

    @badge_column("role", {"superuser": "warning", "operator": "info"})
    def role(self, user: User) -> str:
        return "superuser" if user.is_superuser else "operator" if user.is_staff else ""

    created = time_column("created_at", "created")
    signed_in = time_column("last_login", "last sign-in")


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(SafeLookups, GivesBackAdmin, DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc] # unfold publishes no types
    """Groups of operators. Only a superuser may edit a group: an editor could give it every permission."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(getattr(request.user, "is_superuser", False))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    filter_horizontal = ()
    formfield_overrides = CHECKBOXES

    has_add_permission = has_module_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission
