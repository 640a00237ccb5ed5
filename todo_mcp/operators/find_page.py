"""The page of Find anything. Its box posts the text, so that the value of a token is in no address and no log."""

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from todo_mcp.admin_kit.site import may_view
from todo_mcp.admin_kit.typed_text import looks_secret
from todo_mcp.auth.tokens import TOKEN_MAX, token_by_value
from todo_mcp.operators.finding import find_anything, looks_like_request

TEXT_MAX = 200  # characters of an address


def find(request: HttpRequest) -> HttpResponse:
    """Redirect from the box to the page of a token, or to the page of results; or show the results."""
    if request.method == "POST":
        return _redirect(request, request.POST.get("q", "")[:TOKEN_MAX].strip())
    text = request.GET.get("q", "").strip()[:TEXT_MAX]
    asks_for_words = "words" in request.GET or not looks_like_request(text)
    context = {
        **admin.site.each_context(request),
        "title": "Find",
        "found_text": text,
        "sections": find_anything(request, text, words=asks_for_words) if text and "\0" not in text else [],
        "words_url": None if asks_for_words else reverse("find", query={"q": text, "words": "yes"}),
    }
    return TemplateResponse(request, "admin/find.html", context)


def _redirect(request: HttpRequest, text: str) -> HttpResponse:
    page = reverse("find")
    if may_view("oauth2_provider.accesstoken")(request) and (token_id := token_by_value(text)):
        return HttpResponseRedirect(reverse("admin:oauth2_provider_accesstoken_change", args=[token_id]))
    if looks_secret(text):
        messages.warning(
            request,
            "No token has this value. It may be incomplete, from another server, or removed after it expired. "
            "The value was not stored.",
        )
        return HttpResponseRedirect(page)
    return HttpResponseRedirect(reverse("find", query={"q": text[:TEXT_MAX]}) if text else page)
