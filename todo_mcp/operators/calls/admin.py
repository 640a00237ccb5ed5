"""Registers the page of calls as the list of call statistics. Nothing can be changed there."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from todo_mcp.admin_kit.base import ReadOnly
from todo_mcp.admin_kit.recording import UnfoldModelAdmin
from todo_mcp.operators.calls.address import NotUnderstood, parse
from todo_mcp.operators.calls.page import may_see, page_context
from todo_mcp.statistics.models import CallStatistics


@admin.register(CallStatistics)
class CallsAdmin(ReadOnly, UnfoldModelAdmin):
    def get_urls(self) -> list[URLPattern]:
        """Only the list: a row of the statistics has no page of its own."""
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="statistics_callstatistics_changelist")]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            address = parse(request.GET, timezone.now())
        except NotUnderstood as error:
            self.message_user(request, f"The address had a filter that is not known: {error}.", messages.WARNING)
            return HttpResponseRedirect(request.path)
        if not all(may_see(request, name) for name in address.given):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": "Calls"}
        return TemplateResponse(request, "admin/calls_page.html", context | page_context(request, address))
