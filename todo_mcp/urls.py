"""URLs that Django serves. The tools and /mcp are routed before Django, in asgi.py."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request

from todo_mcp.admin_kit.plain_pages import without_body
from todo_mcp.operators.find_page import find
from todo_mcp.operators.scim.view import scim
from todo_mcp.transports.http.resources import ReadOnly, UnknownView

admin.autodiscover()


class SchemaView(ReadOnly, SpectacularAPIView):
    def _get_version_parameter(self, request: Request) -> None:
        """No version parameter: the API has one version, and the library would copy the parameter into a header."""


class DocsView(ReadOnly, SpectacularSwaggerSplitView):
    pass


handler400, handler403, handler404, handler500 = (without_body(status) for status in (400, 403, 404, 500))
urlpatterns = [
    # Use our password page, which counts wrong attempts at the old password. Django's page does not.
    path("admin/password_change/", RedirectView.as_view(pattern_name="account:password")),
    path("admin/find/", admin.site.admin_view(find), name="find"),
    path("admin/", admin.site.urls),
    path("api/", include("conversations.api")),
    path("api/", include("tasks.reminders.api")),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(url_name="schema"), name="docs"),
    path("api", UnknownView.as_view()),
    re_path("^api/", UnknownView.as_view()),
    re_path("^scim/v2(?:/|$)", scim),
    path("", include("todo_mcp.auth.oauth.urls")),
]
