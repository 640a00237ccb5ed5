"""The page of a connection: what one OAuth client may do for one user. An operator disconnects it here."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from todo_mcp.admin_kit.base import BaseAdmin
from todo_mcp.auth.oauth.connected_apps import ConnectedApp, disconnect, list_connections
from todo_mcp.auth.revocation import by_operator
from todo_mcp.auth.tokens import list_tokens
from todo_mcp.operators.tokens.access import REVOKE
from todo_mcp.operators.tokens.page import connection_url
from todo_mcp.statistics.token_use import last_used
from todo_mcp.users.models import User


def connection_rows(apps: list[ConnectedApp], use_times: dict[int, datetime]) -> list[dict[str, Any]]:
    """The template's rows of these connections. ``use_times`` has the last use of tokens; to renew one is a use too."""
    return [
        {
            "app": app,
            "last_used": max(app.issued_at, use_times.get(app.token_id, app.issued_at)),
            "url": connection_url(app.application_id, app.user_id),
        }
        for app in apps
    ]


def connections(**owner: Any) -> list[dict[str, Any]]:
    """The rows of ``list_connections`` for this user, client or both. Two queries."""
    apps = list_connections(**owner)
    return connection_rows(apps, last_used(app.token_id for app in apps))


class ConnectionPages(BaseAdmin):
    """Mixin for the admin of clients: adds the page of a connection."""

    def get_urls(self) -> list[URLPattern]:
        name, route = "oauth2_provider_application_connection", "<int:application_id>/users/<str:user_id>/"
        return [
            path(route, self.admin_site.admin_view(self.connection_view), name=name),
            path(f"{route}disconnect/", self.admin_site.admin_view(self.disconnect_view), name=f"{name}_disconnect"),
            *super().get_urls(),
        ]

    def connection_view(self, request: HttpRequest, application_id: int, user_id: str) -> HttpResponse:
        """Show the connection, also after it has ended."""
        client, user = self._connected(request, application_id, user_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Connection of client {client.pk}",
            "opts": self.opts,
            "client": client,
            "client_name": self.describe(client),
            "user_id": user.pk,
            "connection": next(iter(connections(user_id=user.pk, application_id=client.pk)), None),
            "tokens": list_tokens(user_id=user.pk, application_id=client.pk)[:50],
            "may_disconnect": request.user.has_perm(REVOKE),
            "revoked_url": reverse(
                "admin:access_revokedtoken_changelist", query={"user": user.pk, "client": client.pk}
            ),
        }
        return TemplateResponse(request, "admin/connection.html", context)

    def _connected(self, request: HttpRequest, application_id: int, user_id: str) -> tuple[Any, User]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        client, user = self.get_object(request, str(application_id)), _find_user(unquote(user_id))
        if client is None or user is None:
            raise Http404
        return client, user

    def disconnect_view(self, request: HttpRequest, application_id: int, user_id: str) -> HttpResponse:
        """Ask whether to disconnect. A POST does it."""
        client, user = self._connected(request, application_id, user_id)
        if not request.user.has_perm(REVOKE):
            raise PermissionDenied
        if request.method != "POST":
            return self.ask(
                request,
                label="Disconnect",
                question="Disconnect this app from this user?",
                explanation="The app is refused from the next call on. The user must connect it again.",
                rows=[f"{user.pk}: {self.describe(client)}"],
                asks_reason=True,
                back=connection_url(client.pk, user.pk),
            )
        cause = by_operator(str(request.user.pk), request.POST.get("reason", "").strip())
        if disconnect(user_id=user.pk, application_id=client.pk, cause=cause):
            users: Any = self.admin_site.get_model_admin(User)  # the log of the user has it
            users._log(request, [user], CHANGE, f"Disconnected client {client.pk}")
            self.message_user(request, "Disconnected.", messages.SUCCESS)
        else:
            self.message_user(request, "Nothing was done: the app was not connected.", messages.WARNING)
        return HttpResponseRedirect(connection_url(client.pk, user.pk))


def _find_user(user_id: str) -> User | None:
    return None if "\0" in user_id else User.objects.filter(pk=user_id).first()
