"""Django's own pages; the tools and /mcp are routed before Django, in asgi.py."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request

from todo_mcp.transports.http.resources import ReadOnly, UnknownView

admin.autodiscover()


class SchemaView(ReadOnly, SpectacularAPIView):
    def _get_version_parameter(self, request: Request) -> None:
        """There is one version; the library would put what a query says into a header."""


class DocsView(ReadOnly, SpectacularSwaggerSplitView):
    pass


urlpatterns = [
    # One page changes a password, and counts how often the old one was wrong.
    path("admin/password_change/", RedirectView.as_view(pattern_name="account:password")),
    path("admin/", admin.site.urls),
    path("api/", include("conversations.api")),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(url_name="schema"), name="docs"),
    re_path("^api/", UnknownView.as_view()),
    path("", include("todo_mcp.auth.oauth.urls")),
]
