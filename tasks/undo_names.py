"""The names by which callers undo a call: a task that the call changed, and the version that the task got from it.

The history has everything else. A name grants nothing, so it is not signed: only the task's own user may use it.
"""

import string
from datetime import timedelta

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
ID_DIGITS_MAX = 11  # 62**11 exceeds 2**63
WINDOW = timedelta(days=30)  # how long a call can be undone
VERSION_DIGITS_MAX = 4  # 62**4 is 14,776,336 changes of one task


def encode(task_id: int, version: int) -> str:
    """The name of the call that gave this version to this task: at most 16 letters, digits and one dot."""
    return f"{_to_text(task_id)}.{_to_text(version)}"


def decode(name: str) -> tuple[int, int]:
    """The task and the version.

    Raises:
        ValueError: ``encode`` never returns this text.
    """
    task, dot, version = name.partition(".")
    if not dot or not 1 <= len(task) <= ID_DIGITS_MAX or not 1 <= len(version) <= VERSION_DIGITS_MAX:
        raise ValueError("not the name of a call")
    pair = _to_number(task), _to_number(version)
    if encode(*pair) != name or min(pair) < 1 or pair[0] >= 2**63:
        raise ValueError("not the name of a call")
    return pair


def _to_text(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text or "0"


def _to_number(text: str) -> int:
    number = 0
    for digit in text:
        if digit not in _VALUES:
            raise ValueError("not the name of a call")
        number = number * len(_DIGITS) + _VALUES[digit]
    return number
