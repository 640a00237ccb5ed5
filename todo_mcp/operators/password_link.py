"""A link with which a user chooses a password. The operator hands it over, and never knows the password."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from todo_mcp.admin_kit.base import BaseAdmin
from todo_mcp.auth.account.reset_mail import link_to_choose_password
from todo_mcp.users.models import User

SHOWN_FOR = 300  # seconds in which the operator may open the page with the link again
DONE = "Made a password link for"  # in the operators' log
_KEY = "password_link"  # in the operator's session: for whom a link was made, and when. Never the link itself


class PasswordLinkAdmin(BaseAdmin):
    """A page at the place of Django's, where an operator would invent a password for somebody else."""

    def may_link(self, request: HttpRequest, user: User | None) -> bool:
        """Whoever has the link can become that user, so the rule is the one for changing the account."""
        return user is not None and user.is_active and self.has_change_permission(request, user)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Offer to make a link. A POST makes and records it; then this page shows it."""
        user = self.get_object(request, unquote(id))
        if not self.may_link(request, user):
            raise PermissionDenied
        if request.method == "POST":
            return self.make_link(request, user)
        made_for, at = request.session.get(_KEY, ("", 0))
        is_made = made_for == _unchanged(user) and timezone.now().timestamp() - at < SHOWN_FOR
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": "Link to choose a password",
            "opts": self.opts,
            "original": user,
            "link": link_to_choose_password(user) if is_made else "",
            "until": timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT),
            "minutes": settings.PASSWORD_RESET_TIMEOUT // 60,
            "issue_url": self._issue_url(request, user),
        }
        response = TemplateResponse(request, "admin/password_link.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def make_link(self, request: HttpRequest, user: User) -> HttpResponse:
        """Record that a link is made, and go to the page that shows it."""
        request.session[_KEY] = (_unchanged(user), timezone.now().timestamp())
        self._log(request, [user], CHANGE, DONE)
        self.message_user(request, f"You can see this link here for {SHOWN_FOR // 60} minutes.", messages.SUCCESS)
        return HttpResponseRedirect(self._url("change", quote(user.pk)).removesuffix("change/") + "password/")

    def _issue_url(self, request: HttpRequest, user: User) -> str:
        """The form that issues a token for the user. Empty if the operator may not."""
        may = request.user.has_perm("oauth2_provider.add_accesstoken")
        form = f"{self.admin_site.name}:oauth2_provider_accesstoken_add"
        return reverse(form, query={"user_id": user.pk}) if may else ""


def _unchanged(user: User) -> str:
    """A digest of the user and the password. Once the person has chosen one, the link was used and is not shown."""
    return salted_hmac(__name__, f"{user.pk}\0{user.password}").hexdigest()
