"""Who makes a change: what the triggers write beside each version of a task."""

from typing import Any

import pghistory


def history_context(*, user: str | None, tool: str, **metadata: Any) -> pghistory.context:
    """A context in which every change of a task is recorded with this metadata.

    Args:
        user: who acts; for a service token, the user acted for.
        tool: the operation, the admin's action or the command.
        metadata: ``token`` (its id), ``token_name``, ``client`` (self-asserted), ``request_id``, where known.
    """
    return pghistory.context(user=user, tool=tool, **metadata)
