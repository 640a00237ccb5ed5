"""The apps that are connected to users' accounts, and the page on which a person disconnects them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.views.generic import TemplateView
from oauth2_provider.models import AccessToken, Application, Grant, RefreshToken

from todo_mcp.admin_kit.page_security import PageHeaders
from todo_mcp.auth.oauth.clients import document_host
from todo_mcp.auth.oauth.families import lock_family
from todo_mcp.auth.revocation import By, Cause, is_usable, record_revocation
from todo_mcp.auth.tokens import NEVER

TOKENS_MAX = 200  # that a list of connections reads
BY_PERSON = Cause(By.PERSON)
PAGE = reverse_lazy("account:connections")


@dataclass(frozen=True)
class ConnectedApp:
    """A client that has tokens of one user.

    ``host`` is the host that vouches for its name, or empty. ``since`` is the time of the consent, as far as it is
    known. ``token_id`` is its newest token. ``until`` is the end of that token, or None if the client renews its
    tokens itself or they never expire.
    """

    token_id: int
    user_id: str
    application_id: int
    name: str
    host: str
    scopes: tuple[str, ...]
    permissions: tuple[str, ...]
    since: datetime
    issued_at: datetime
    until: datetime | None


def list_connected_apps(*, user_id: str) -> list[ConnectedApp]:
    """The apps that can act for the user now, one for each client, the last renewed first."""
    tokens = AccessToken.objects.filter(is_usable(), user_id=user_id, application__isnull=False)
    return connected_apps(tokens.select_related("application", "refresh_token").order_by("-id"))


def list_connections(*, user_id: str | None = None, application_id: int | None = None) -> list[ConnectedApp]:
    """Connections of OAuth clients, of one user or one client, the last renewed first.

    Tokens that an operator issued are no connections. Of very many, only those of the newest ``TOKENS_MAX`` tokens.
    """
    tokens = AccessToken.objects.filter(is_usable(), user__isnull=False, application__in=oauth_clients())
    if user_id is not None:
        tokens = tokens.filter(user_id=user_id)
    if application_id is not None:
        tokens = tokens.filter(application_id=application_id)
    return connected_apps(tokens.select_related("application", "refresh_token").order_by("-id")[:TOKENS_MAX])


def oauth_clients() -> QuerySet[Any]:
    """The clients that registered themselves or publish a metadata document."""
    clients: QuerySet[Any] = Application.objects.exclude(registration_source=Application.RegistrationSource.MANUAL)
    return clients


def is_oauth_client(application: Application | None) -> bool:
    """Whether this is one of ``oauth_clients``."""
    return application is not None and application.registration_source != Application.RegistrationSource.MANUAL


def connected_apps(tokens: Iterable[AccessToken]) -> list[ConnectedApp]:
    """One app for each user and client of these usable tokens, which begin with the newest."""
    apps: dict[tuple[str, int], ConnectedApp] = {}
    for token in tokens:
        key = token.user_id, token.application_id
        if key not in apps:
            apps[key] = _connected_app(token)
    return list(apps.values())


def _connected_app(token: AccessToken) -> ConnectedApp:
    refresh_token = getattr(token, "refresh_token", None)
    scopes = token.scope.split()
    has_no_end = refresh_token is not None or token.expires >= NEVER
    return ConnectedApp(
        token_id=token.pk,
        user_id=token.user_id,
        application_id=token.application_id,
        name=token.application.name,
        host=document_host(token.application),
        scopes=tuple(scopes),
        permissions=tuple(label for scope, label in settings.SCOPES.items() if scope in scopes),
        since=min(token.created, refresh_token.created) if refresh_token else token.created,
        issued_at=token.created,
        until=None if has_no_end else token.expires,
    )


def disconnect(*, user_id: str, application_id: int, cause: Cause) -> bool:
    """Delete every token and code that the client has of this user, with effect from the next call.

    A record of each usable token stays.

    Returns False if the client had none.
    """
    owned = {"user_id": user_id, "application_id": application_id}
    with transaction.atomic():
        deleted: int = Grant.objects.filter(**owned).delete()[0]  # waits for exchanges of these codes
        tokens = RefreshToken.objects.filter(**owned, token_family__isnull=False).order_by("token_family")
        for family in list(tokens.values_list("token_family", flat=True).distinct()):
            lock_family(family)  # waits for refreshes
        record_revocation(AccessToken.objects.filter(**owned), cause)
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
        if is_id and disconnect(user_id=str(request.user.pk), application_id=int(text), cause=BY_PERSON):
            messages.success(request, "Disconnected. The app can no longer act for you.")
        return HttpResponseRedirect(str(PAGE))
