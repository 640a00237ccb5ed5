"""One user who calls the tools in the test's own thread, with a real token and real statements."""

from typing import Any
from uuid import uuid4

from tasks.models import Task
from tests.support.tool_calls import everything_of
from todo_mcp.auth.tokens import issue_token
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform_for
from todo_mcp.core.envelope import Envelope
from todo_mcp.core.operations import REGISTRY


class ToolUser:
    """Calls the tools with one token. ``also`` goes into each call: a service names its user there."""

    def __init__(self, user_id: str, token: str | None = None, /, **also: Any) -> None:
        self.user_id = user_id
        self.token = token or issue_token(user_id=user_id)
        self.also = also

    def call(self, tool: str, **arguments: Any) -> Envelope:
        request = Call(
            operation=REGISTRY[tool], arguments={**self.also, **arguments}, transport="http", request_id=uuid4().hex
        )
        return perform_for(request, self.token)[0]

    def done(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The data of a call that succeeds, with its message."""
        envelope = self.call(tool, **arguments)
        assert envelope["status"] == "success", envelope
        return {**envelope["data"], "message": envelope["message"]}

    def add(self, title: str = "Call the bank", **arguments: Any) -> dict[str, Any]:
        return self.done("add_task", title=title, **arguments)

    def update(self, **arguments: Any) -> dict[str, Any]:
        return self.done("update_task", **arguments)

    def complete(self, **arguments: Any) -> dict[str, Any]:
        return self.done("complete_task", **arguments)

    def delete(self, **arguments: Any) -> dict[str, Any]:
        return self.done("delete_task", **arguments)

    def undo(self, name: str, **arguments: Any) -> dict[str, Any]:
        return self.done("update_task", undo=name, **arguments)

    def refused(self, tool: str, error: str, *fields: str, **arguments: Any) -> dict[str, Any]:
        """The data of a call that is refused, with its message. It names exactly these fields, and stores nothing."""
        before = everything_of(self.user_id)
        envelope = self.call(tool, **arguments)
        assert (envelope["status"], envelope["data"].get("error")) == ("error", error), envelope
        assert sorted(envelope["data"].get("fields", {})) == sorted(fields), envelope
        assert everything_of(self.user_id) == before
        return {**envelope["data"], "message": envelope["message"]}

    def invalid(self, tool: str, *fields: str, **arguments: Any) -> dict[str, Any]:
        return self.refused(tool, "invalid_arguments", *fields, **arguments)

    def row(self, task_id: int) -> dict[str, Any]:
        """Every column of the task."""
        return dict(Task.objects.filter(user_id=self.user_id).values().get(pk=task_id))
