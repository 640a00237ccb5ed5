"""The JSON of a message's item and of a conversation's metadata, as text that a person can read."""

import json
from dataclasses import dataclass

from pydantic_core import from_json

GROWTH_MAX = 4  # a text that indenting would make longer than so many times stays as it is
KIND_MAX = 80  # characters


@dataclass(frozen=True)
class ShownJson:
    """A JSON object on a page: what it calls itself, its text, its size in bytes, and how many of them are not shown.

    ``kind`` is its ``type`` and its ``name``, as in "function_call add_task", or empty.
    """

    kind: str
    text: str
    size: int
    rest: int


def shown_json(text: str, size: int) -> ShownJson:
    """The object of so many bytes whose text, or its beginning, this is. A text that was cut is closed where it ends.

    It is on lines of its own, indented by tabs. If that takes much more room, as for thousands of small values in deep
    arrays, the text stays as it is. So a page stays as light as what it shows.
    """
    rest = size - len(text.encode())
    try:
        value = from_json(text, allow_partial="trailing-strings")
        lines = json.dumps(value, ensure_ascii=False, indent="\t")
    except ValueError:  # a number or a depth that no call stores
        return ShownJson("", text, size, rest)
    kind = " ".join(value[name] for name in ("type", "name") if isinstance(value.get(name), str))
    return ShownJson(kind[:KIND_MAX], lines if len(lines) <= GROWTH_MAX * len(text) else text, size, rest)
