"""Why a call is refused: one change that a task cannot take, and all that is wrong with a call."""

from tasks.clock import CallClock


class Refused(Exception):
    """A change that a task, or its new values, cannot take. ``reason`` follows the name of the field."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


class Refusals:
    """What is wrong with a call, collected, so that one answer names it all."""

    def __init__(self, clock: CallClock) -> None:
        self._clock = clock
        self._fields: dict[str, str] = {}
        self._tasks: dict[str, list[int]] = {}  # the tasks that cannot take a field

    def add(self, refused: Refused, *, prefix: str = "", task_id: int | None = None) -> None:
        field = prefix + refused.field
        self._fields.setdefault(field, refused.reason)
        if task_id:
            self._tasks.setdefault(field, []).append(task_id)

    def raise_if_any(self) -> None:
        """Refuse the call.

        Raises:
            InvalidArguments: names each field, and the tasks that cannot take it.
        """
        if not self._fields:
            return
        fields = dict(self._fields)
        for name, ids in self._tasks.items():
            which = f"task {ids[0]}" if len(ids) == 1 else f"tasks {', '.join(map(str, ids))}"
            fields[name] = f"{fields[name].rstrip('.')} ({which})"
        raise self._clock.refusal(fields)
