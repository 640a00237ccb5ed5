"""What keeps the account pages from being framed, cached or fed with foreign scripts."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.generic import View

# No form-action: browsers apply it to the redirect that follows, which goes to the client.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


class PageHeaders(View):
    """Mixin of a page that a signed-in person sees."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        assert isinstance(response, HttpResponse)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-store"
        return response
