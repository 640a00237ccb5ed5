"""The REST route of reminders."""

from django.urls import path

from todo_mcp.transports.http.resources import ResourceView


class DueView(ResourceView):
    operations = {"GET": ("list_due", 200)}


urlpatterns = [path("due", DueView.as_view())]
