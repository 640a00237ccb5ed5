"""Who makes a change: the metadata that triggers write beside each version of a task."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import pghistory
import pghistory.runtime
from asgiref.local import Local

from todo_mcp.core.envelope import to_json

_metadata: ContextVar[dict[str, Any] | None] = ContextVar("history_metadata", default=None)


def install() -> None:
    """Let pghistory keep its context for each asyncio task, not for each thread: calls share the loop's thread."""
    if not isinstance(pghistory.runtime._tracker, Local):
        pghistory.runtime._tracker = Local()  # type: ignore[assignment]


@contextmanager
def history_context(*, user: str | None, tool: str, compiled: bool = False, **metadata: Any) -> Iterator[None]:
    """Within this context, every change of a task is recorded with this metadata.

    Args:
        compiled: only compiled statements will change tasks, so pghistory need not know.
        user: who acts; for a service token, the user whom it acts for.
        tool: the operation, the admin's action or the command.
        metadata: ``token`` (its id), ``token_name``, ``service`` (whether the token is a service's), ``client``
            (its own name for itself), ``request_id``, where known.
    """
    values = {"user": user, "tool": tool, **metadata}
    outer = _metadata.set(values)
    try:
        with nullcontext() if compiled else pghistory.context(**values):
            yield
    finally:
        _metadata.reset(outer)


@contextmanager
def history_note(**metadata: Any) -> Iterator[None]:
    """Within this context, compiled statements record this metadata too, beside that of ``history_context``."""
    outer = _metadata.set({**(_metadata.get() or {}), **metadata})
    try:
        yield
    finally:
        _metadata.reset(outer)


def current_metadata() -> str:
    """The metadata of the current context, as JSON; empty if there is no context."""
    values = _metadata.get()
    return to_json(values).decode() if values else ""
