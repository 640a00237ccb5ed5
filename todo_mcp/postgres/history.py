"""Who makes a change: what the triggers write beside each version of a task."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import pghistory
import pghistory.runtime
from asgiref.local import Local

from todo_mcp.core.envelope import to_json

pghistory.runtime._tracker = Local()  # type: ignore[assignment]  # it keeps it in the thread, which calls on the event loop share

_metadata: ContextVar[dict[str, Any] | None] = ContextVar("history_metadata", default=None)


@contextmanager
def history_context(*, user: str | None, tool: str, compiled: bool = False, **metadata: Any) -> Iterator[None]:
    """A context in which every change of a task is recorded with this metadata, by the ORM or a compiled statement.

    Args:
        compiled: nothing but compiled statements will change tasks.
        user: who acts; for a service token, the user acted for.
        tool: the operation, the admin's action or the command.
        metadata: ``token`` (its id), ``token_name``, ``client`` (self-asserted), ``request_id``, where known.
    """
    said = {"user": user, "tool": tool, **metadata}
    outer = _metadata.set(said)
    try:
        with nullcontext() if compiled else pghistory.context(**said):
            yield
    finally:
        _metadata.reset(outer)


def current_metadata() -> str:
    """The metadata of the context we are in, as JSON; empty outside of any."""
    said = _metadata.get()
    return to_json(said).decode() if said else ""
