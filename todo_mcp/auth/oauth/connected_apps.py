"""What is connected to a person's account, and how it is disconnected."""

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
from todo_mcp.auth.tokens import NEVER, is_usable

PAGE = reverse_lazy("account:connections")


@dataclass(frozen=True)
class Connection:
    """A client with tokens of one person.

    ``host`` vouches for its name, where somebody does. ``until`` is None where it renews its tokens by itself, or
    needs not to.
    """

    application_id: int
    name: str
    host: str
    permissions: tuple[str, ...]
    issued: datetime
    until: datetime | None


def list_connections(*, user_id: str) -> list[Connection]:
    """Who can act for the person now, last renewed first, one for each client."""
    tokens = AccessToken.objects.filter(is_usable(), user_id=user_id, application__isnull=False)
    found: dict[int, Connection] = {}
    for token in tokens.select_related("application", "refresh_token").order_by("-id"):
        if token.application_id not in found:
            found[token.application_id] = _connection(token)
    return list(found.values())


def _connection(token: AccessToken) -> Connection:
    renews = hasattr(token, "refresh_token") or token.expires >= NEVER
    return Connection(
        application_id=token.application_id,
        name=token.application.name,
        host=document_host(token.application),
        permissions=tuple(words for scope, words in settings.SCOPES.items() if scope in token.scope.split()),
        issued=token.created,
        until=None if renews else token.expires,
    )


def disconnect(*, user_id: str, application_id: int) -> bool:
    """End every token and code that the client has of this person, from the next call on; False if it has none."""
    ended = 0
    with transaction.atomic():
        for model in (Grant, RefreshToken, AccessToken):
            ended += model.objects.filter(user_id=user_id, application_id=application_id).delete()[0]
    return ended > 0


class ConnectedAppsView(PageHeaders, LoginRequiredMixin, TemplateView):
    """What can act for the person, and a button for each that ends it."""

    template_name = "account/connections.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(connections=list_connections(user_id=str(self.request.user.pk)), **kwargs)

    def post(self, request: HttpRequest) -> HttpResponse:
        sent = request.POST.get("application_id", "")
        known = sent.isascii() and sent.isdigit() and len(sent) <= 18
        if known and disconnect(user_id=str(request.user.pk), application_id=int(sent)):
            messages.success(request, "Disconnected. It is refused from now on.")
        return HttpResponseRedirect(str(PAGE))
