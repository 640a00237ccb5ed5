"""The quota of versions of one task."""

from collections.abc import Iterable

from django.conf import settings

from tasks.state import TaskState
from todo_mcp.core.errors import QuotaExceeded
from todo_mcp.postgres.operation_run import current_run

UNLIMITED = 2**40


def version_limit() -> int:
    """The most versions that the history keeps of a task in a call. Operators and commands have no quotas."""
    return (settings.QUOTA_VERSIONS or UNLIMITED) if current_run() else UNLIMITED


def is_full(state: TaskState) -> bool:
    """Whether the quota allows no further version of the task."""
    return state.version >= state.thinned + version_limit()


def check_versions(states: Iterable[TaskState]) -> None:
    """Check that each of these tasks may get one more version.

    Raises:
        QuotaExceeded: the history of some has as many versions as the quota allows.
    """
    full = [state.id for state in states if is_full(state)]
    if not full:
        return
    limit = settings.QUOTA_VERSIONS
    which = f"task {full[0]} has" if len(full) == 1 else f"tasks {', '.join(map(str, full))} have"
    raise QuotaExceeded(
        "versions",
        limit,
        f"{which} as many versions as the quota allows, {limit:,}",
        "Add a new task for what comes next and complete or delete the old one; or wait, because versions older than "
        "30 days thin out to one a day.",
        task_ids=full,
    )
