"""Which tasks a call is about: one by its id, several by their ids, or one by words of its title."""

from collections.abc import Sequence
from dataclasses import dataclass

from todo_mcp.core.errors import InvalidArguments


@dataclass(frozen=True)
class Which:
    """Exactly one of ``task_id``, ``task_ids`` and ``match``."""

    task_id: int | None = None
    task_ids: Sequence[int] | None = None
    match: str | None = None
    expected_version: int | None = None

    def check(self, *also: str) -> None:
        """Check that the call names its tasks in one way.

        Args:
            also: other arguments that may stand in place of these.

        Raises:
            InvalidArguments: it names none, or names them in two ways; or ``expected_version`` is for several tasks.
        """
        sent = [name for name in ("task_id", "task_ids", "match") if getattr(self, name) is not None]
        if not sent:
            choices = ", ".join(("match", "task_id", "task_ids", *also))
            raise InvalidArguments({"task_id": f"is required: send exactly one of {choices}"})
        if len(sent) > 1:
            raise InvalidArguments(dict.fromkeys(sent, "send only one of match, task_id and task_ids"))
        if self.expected_version and self.task_ids:
            raise InvalidArguments({"expected_version": "goes with task_id or match, not with task_ids"})

    @property
    def is_only_an_id(self) -> bool:
        return self.task_id is not None and self.expected_version is None

    def ids(self) -> list[int]:
        """The ids, each once, in the order in which they were sent."""
        return list(dict.fromkeys(self.task_ids or [self.task_id or 0]))
