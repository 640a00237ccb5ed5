"""Acknowledged writes, to compare with the database after servers and databases were killed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Acknowledged:
    """The acknowledged additions and completions of tasks. Each title is used once."""

    added: dict[str, int] = field(default_factory=dict)  # title → id
    completed: set[int] = field(default_factory=set)

    def complaints(self, rows: Sequence[tuple[Any, ...]]) -> list[str]:
        """How the database differs from this. Each row has the title and id of a task, and whether it is completed."""
        stored = {(title, task_id) for title, task_id, _ in rows}
        completed_ids = {task_id for _, task_id, completed in rows if completed}
        counts = {
            "additions are lost": len(self.added.items() - stored),
            "tasks are unacknowledged or stored twice": len(rows) - len(self.added.items() & stored),
            "completions are lost": len(self.completed - completed_ids),
            "completions are unacknowledged": len(completed_ids - self.completed),
        }
        return [f"{count} {problem}" for problem, count in counts.items() if count]
