"""todo-mcp: the task backend that AI agents use."""

__version__ = "0.1.0"
