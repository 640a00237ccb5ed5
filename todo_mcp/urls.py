"""Django's own pages; the tools and /mcp are routed before Django, in asgi.py."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
