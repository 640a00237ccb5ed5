"""The apps that are connected to a user's account, and the page that disconnects them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.views.generic import TemplateView
from oauth2_provider.models import AccessToken, Grant, RefreshToken

from todo_mcp.admin_kit.page_security import PageHeaders
from todo_mcp.auth.oauth.clients import document_host
from todo_mcp.auth.oauth.families import lock_family
from todo_mcp.auth.tokens import NEVER, is_usable

PAGE = reverse_lazy("account:connections")


@dataclass(frozen=True)
class ConnectedApp:
    """A client that has tokens of one user.

    ``host`` is the host that vouches for its name, or empty. ``until`` is the end of its token, or None if it renews
    its tokens itself or they never expire.
    """

    application_id: int
    name: str
    host: str
    permissions: tuple[str, ...]
    issued_at: datetime
    until: datetime | None


def list_connected_apps(*, user_id: str) -> list[ConnectedApp]:
    """The apps that can act for the user now, one for each client, the last renewed first."""
    tokens = AccessToken.objects.filter(is_usable(), user_id=user_id, application__isnull=False)
    apps: dict[int, ConnectedApp] = {}
    for token in tokens.select_related("application", "refresh_token").order_by("-id"):
        if token.application_id not in apps:
            apps[token.application_id] = _connected_app(token)
    return list(apps.values())


def _connected_app(token: AccessToken) -> ConnectedApp:
    has_no_end = hasattr(token, "refresh_token") or token.expires >= NEVER
    return ConnectedApp(
        application_id=token.application_id,
        name=token.application.name,
        host=document_host(token.application),
        permissions=tuple(label for scope, label in settings.SCOPES.items() if scope in token.scope.split()),
        issued_at=token.created,
        until=None if has_no_end else token.expires,
    )


def disconnect(*, user_id: str, application_id: int) -> bool:
    """Delete every token and code that the client has of this user, with effect from the next call.

    Returns False if the client had none.
    """
    owned = {"user_id": user_id, "application_id": application_id}
    with transaction.atomic():
        deleted: int = Grant.objects.filter(**owned).delete()[0]  # waits for exchanges of these codes
        tokens = RefreshToken.objects.filter(**owned, token_family__isnull=False).order_by("token_family")
        for family in list(tokens.values_list("token_family", flat=True).distinct()):
            lock_family(family)  # waits for refreshes
        for model in (RefreshToken, AccessToken):
            deleted += model.objects.filter(**owned).delete()[0]
    return deleted > 0


class ConnectedAppsView(PageHeaders, LoginRequiredMixin, TemplateView):
    """Lists the apps that can act for the user, each with a button that disconnects it."""

    template_name = "account/connected_apps.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(apps=list_connected_apps(user_id=str(self.request.user.pk)), **kwargs)

    def post(self, request: HttpRequest) -> HttpResponse:
        text = request.POST.get("application_id", "")
        is_id = text.isascii() and text.isdigit() and len(text) <= 18
        if is_id and disconnect(user_id=str(request.user.pk), application_id=int(text)):
            messages.success(request, "Disconnected. The app can no longer act for you.")
        return HttpResponseRedirect(str(PAGE))
