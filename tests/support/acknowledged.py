"""What writers were told is done, to compare with what the database has after servers and databases have died."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Acknowledged:
    """Tasks by their titles, of which each is used once."""

    added: dict[str, int] = field(default_factory=dict)  # title → id
    completed: set[int] = field(default_factory=set)

    def complaints(self, rows: Sequence[tuple[Any, ...]]) -> list[str]:
        """What is lost, doubled or done though nobody was told; ``rows`` are title, id and whether it is completed."""
        there = {(title, task_id) for title, task_id, _ in rows}
        done = {task_id for _, task_id, completed in rows if completed}
        counts = {
            "additions are lost": len(self.added.items() - there),
            "tasks are there that nobody was told of, or twice": len(rows) - len(self.added.items() & there),
            "completions are lost": len(self.completed - done),
            "are completed though nobody was told": len(done - self.completed),
        }
        return [f"{count} {what}" for what, count in counts.items() if count]
