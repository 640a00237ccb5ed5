"""Supplies the transcript of a conversation with what tools did to the tasks that were created from its messages."""

from collections.abc import Sequence
from typing import Any

from conversations.transcript import CALLS_OF_TASKS
from tasks.history import first_calls


def find_calls(user_id: str, task_ids: Sequence[int]) -> tuple[list[dict[str, Any]], bool]:
    """What was done with these tasks, oldest first, and whether some of it was left out."""
    return first_calls(user_id=user_id, task_ids=task_ids)


CALLS_OF_TASKS.append(find_calls)
