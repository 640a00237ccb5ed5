"""What the admin shows that is in no app of its own; Django looks for admin modules in apps alone."""

from todo_mcp.auth import admin as tokens_admin

__all__ = ["tokens_admin"]
