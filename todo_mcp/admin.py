"""What the admin shows that is in no app of its own; Django looks for admin modules in apps alone."""

from django.contrib import admin

from todo_mcp.auth import admin as tokens_admin

admin.site.index_title = "Overview"

__all__ = ["tokens_admin"]
