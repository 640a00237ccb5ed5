"""Why a task cannot take a change."""


class Refused(Exception):
    """A change that a task, or its new values, cannot take. ``reason`` follows the name of the field."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason
