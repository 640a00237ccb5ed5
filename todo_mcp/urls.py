"""Django's own pages; the tools and /mcp are routed before Django, in asgi.py."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from todo_mcp.transports.resources import UnknownView

admin.autodiscover()

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("conversations.api")),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path("^api/", UnknownView.as_view()),
    path("", include("todo_mcp.auth.oauth_urls")),
]
