"""Account pages: sign in, sign out, choose a time zone, change the password, set a new one by mail."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.validators import MaxLengthValidator
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.generic import FormView, TemplateView

from todo_mcp.admin_kit.page_security import PageHeaders
from todo_mcp.admin_kit.zone_field import ZoneField
from todo_mcp.auth.account.attempts import check_old_password, count_old_password
from todo_mcp.auth.account.reset_mail import ask_for_mail
from todo_mcp.auth.rate_limit import count_attempt, count_attempt_from_address
from todo_mcp.dates.zones import Clock, find_zone
from todo_mcp.users.models import ID_MAX
from todo_mcp.users.services import set_time_zone

RESETS_AN_HOUR = 10  # from one network address
MAILS_AN_HOUR = 3  # to one mail address
CONNECTED_APPS = reverse_lazy("account:connections")
TIME_ZONE = reverse_lazy("account:time_zone")
SIGN_IN = reverse_lazy("account:sign_in")


class BoundedName(AuthenticationForm):
    """Mixin that refuses a name longer than any user id, before the password is hashed or the attempt is recorded.

    Django's form only sets ``maxlength`` for the browser, and django-axes cannot store a longer name.
    """

    def __init__(self, request: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].validators.append(MaxLengthValidator(ID_MAX))


class SignInForm(BoundedName):
    def __init__(self, request: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = "User id"


class SignInView(PageHeaders, views.LoginView):
    template_name = "account/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_default_redirect_url(self) -> str:
        return str(CONNECTED_APPS)


class SignOutView(PageHeaders, views.LogoutView):
    """Signs out, by POST only. ``next`` leads back to the consent page, for "Use another account"."""

    def get_default_redirect_url(self) -> str:
        return str(SIGN_IN)


class ZoneForm(forms.Form):
    time_zone = ZoneField(help_text="“Friday at 9” then means nine o'clock there, also when the clocks change.")


class TimeZoneView(PageHeaders, LoginRequiredMixin, FormView):  # type: ignore[type-arg] # generic to mypy only
    """Shows the zone in which the person's days and times are read, and changes it.

    A script proposes the zone of the browser. The page works without it.
    """

    runs_script = True
    template_name = "account/time_zone.html"
    form_class = ZoneForm
    success_url = TIME_ZONE

    def get_initial(self) -> dict[str, Any]:
        return {"time_zone": self.request.user.time_zone}  # type: ignore[union-attr]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        zone = self.request.user.time_zone  # type: ignore[union-attr]
        clock = Clock(timezone.now(), find_zone(zone)) if zone else None
        now = f"{clock.weekday}, {clock.now:%H:%M}" if clock else ""
        return super().get_context_data(zone=zone, now=now, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        zone = set_time_zone(user_id=str(self.request.user.pk), time_zone=form.cleaned_data["time_zone"])
        said = f"Your days and times are read in {zone} now." if zone else "Your time zone is not known now."
        messages.success(self.request, said)
        return super().form_valid(form)


class PasswordChangeView(PageHeaders, views.PasswordChangeView):
    template_name = "account/form.html"
    extra_context = {"heading": "Change your password", "action": "Change password"}
    success_url = CONNECTED_APPS

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        check_old_password(str(request.user.pk))
        return super().post(request, *args, **kwargs)

    def form_invalid(self, form: Any) -> HttpResponse:
        if "old_password" in form.errors:
            count_old_password(str(self.request.user.pk))
        return super().form_invalid(form)

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your password is changed.")
        return super().form_valid(form)


class PasswordResetView(PageHeaders, views.PasswordResetView):
    """Stores the request. The mail is sent later (``reset_mail``), so the timing does not show if a user exists."""

    template_name = "account/form.html"
    extra_context = {
        "heading": "Forgotten password",
        "text": "Enter the email address of your account. If that account can sign in here, we send it a link.",
        "action": "Send the link",
    }
    success_url = reverse_lazy("account:reset_sent")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
            context |= {"form": None, "text": "This server sends no mail. Ask its operator for a new password."}
        return context

    def form_valid(self, form: Any) -> HttpResponse:
        address = self.request.META.get("REMOTE_ADDR", "")
        if count_attempt_from_address("reset", address, limit=RESETS_AN_HOUR) is not None:
            form.add_error(None, "Too many attempts from this address. Try again in an hour.")
            return self.form_invalid(form)
        email = form.cleaned_data["email"]
        # Over the limit the answer is the same, but no mail is sent.
        if count_attempt("reset of", email.lower(), limit=MAILS_AN_HOUR) is None:
            ask_for_mail(email)
        return HttpResponseRedirect(self.get_success_url())


class ResetSentView(PageHeaders, TemplateView):
    template_name = "account/form.html"
    extra_context = {
        "heading": "Check your mail",
        "text": "If an account has this address, a link is on its way. It works once, within an hour.",
    }


class NewPasswordView(PageHeaders, views.PasswordResetConfirmView):
    template_name = "account/form.html"
    success_url = SIGN_IN

    def get_user(self, uidb64: str) -> Any:
        try:
            return super().get_user(uidb64)
        except DataError:  # a NUL character; Base64 hid it from the parameter check
            return None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        texts: dict[str, Any]
        if getattr(self, "validlink", False):
            texts = {"heading": "Choose a new password", "action": "Set password"}
        else:
            texts = {"heading": "This link is used up", "text": "Ask for a new one.", "form": None}
        return super().get_context_data(**kwargs) | texts
