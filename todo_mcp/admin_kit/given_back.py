"""Pages that give back what an operator typed: after an expired form, an expired session or a lost permission.

Nothing is submitted by itself. The form comes back filled, and the operator saves it.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import Resolver404, resolve, reverse
from django.utils.cache import add_never_cache_headers

from todo_mcp.admin_kit.recording import UnfoldModelAdmin
from todo_mcp.admin_kit.typed_text import CARRIED, GIVEN_BACK, Fields, packed, shown, typed_fields, unpacked

NOT_SAVED = "Nothing is saved yet. Check what you typed, then save."
EXPIRED = (
    "This page has expired",
    "Nothing was done. The page was open for very long, or you have signed in again since.",
)
SIGNED_IN = ("You are signed in again", "Nothing was done yet.")
REFUSED = (
    "You may not do this",
    "Nothing was done. Your permissions may have changed, or what the page showed may have been deleted meanwhile. "
    "A superuser can give you the permission.",
)
FOREIGN = ("Origin checking", "Referer checking")  # how Django's reason begins if another site sent the form


class GivesBackAdmin(UnfoldModelAdmin):
    """An admin page whose forms can come back filled, without being saved."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        refusal = getattr(request, "refusal", NOT_SAVED if GIVEN_BACK in request.POST else "")
        return _refusing(form, refusal) if refusal else form


def _refusing(form: type[Any], refusal: str) -> type[Any]:
    """A subclass of the form that is never valid, so that the page shows it with its values."""

    def clean(self: Any) -> Any:
        data = form.clean(self)
        self.add_error(None, refusal)
        return data

    return type(form.__name__, (form,), {"clean": clean})


class GiveBack:
    """Middleware that answers a refused POST of the admin with a page that has the typed text."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if request.method != "POST" or not request.path_info.startswith(reverse("admin:index")):
            return response
        sign_in, goes_to = reverse("admin:login"), response.headers.get("Location", "")
        if request.path_info == sign_in:
            fields = unpacked(request.POST.get(CARRIED, "")) if response.status_code == 302 else []
            return _page(request, *SIGNED_IN, fields, goes_to) if fields else response
        is_signed_out = response.status_code == 302 and goes_to.startswith(f"{sign_in}?")
        is_refused = response.status_code == 403 and not hasattr(request, "is_given_back")
        fields = typed_fields(request) if is_signed_out or is_refused else []
        if not shown(fields):
            return response
        if is_signed_out:
            return _sign_in_again(request, fields)
        return _page(request, *REFUSED, fields, request.get_full_path(), may_repeat=False)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The page for an expired form. A form that another site sent is not given back."""
    request.is_given_back = True  # type: ignore[attr-defined]  # see ``GiveBack``
    is_foreign = reason.startswith(FOREIGN)
    fields = [] if is_foreign else typed_fields(request)
    if request.path_info.startswith(reverse("admin:index")) and request.path_info != reverse("admin:login"):
        if admin.site.has_permission(request):
            return _page(request, *EXPIRED, fields, request.get_full_path())
        if shown(fields):
            return _sign_in_again(request, fields)
    context = {"heading": EXPIRED[0], "text": EXPIRED[1], "again": "" if is_foreign else request.get_full_path()}
    response = render(request, "account/form.html", context, status=403)
    add_never_cache_headers(response)
    return response


def _page(
    request: HttpRequest, title: str, text: str, fields: Fields, url: str, *, may_repeat: bool = True
) -> HttpResponse:
    """What happened, what was typed, and a button that opens the form with it, unless it is too long."""
    comes_back = may_repeat and _can_come_back(url) and packed(fields)
    context = {
        **admin.site.each_context(request),
        "title": title,
        "text": text,
        "typed": shown(fields),
        "fields": [*fields, (GIVEN_BACK, "yes")] if comes_back else [],
        "url": url,
    }
    response = render(request, "admin/given_back.html", context, status=200 if title == SIGNED_IN[0] else 403)
    add_never_cache_headers(response)
    return response


def _sign_in_again(request: HttpRequest, fields: Fields) -> HttpResponse:
    """The sign-in page, whose form carries the fields along."""
    request.method = "GET"  # the sign-in page is shown, not sent
    url = request.get_full_path()
    context = {
        "app_path": f"{reverse('admin:login')}?{urlencode({'next': url})}",
        "carried": packed(fields),
        "typed": shown(fields),
    }
    response: Any = admin.site.login(request, context)
    response.status_code = 403
    return response.render()  # type: ignore[no-any-return]


def _can_come_back(url: str) -> bool:
    """Whether this is the address of a form that saves nothing if it is sent with GIVEN_BACK."""
    try:
        match = resolve(url.partition("?")[0])
    except Resolver404:
        return False
    is_form = (match.url_name or "").endswith(("_add", "_change"))
    return is_form and isinstance(getattr(match.func, "model_admin", None), GivesBackAdmin)
