"""The kinds of argument that operations take: what each refuses, in words that a model and a person can act on.

An argument is checked here, once, before any query; the database repeats the invariant.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

MAX_ID = 2**63 - 1  # PostgreSQL's bigint

_REFUSED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_REFUSED_VERBATIM = re.compile("[\x00\ud800-\udfff]")  # what PostgreSQL cannot store
# Unicode's bidirectional algorithm (UAX #9): PDF closes an embedding or override, PDI an isolate with all within.
_EMBEDDINGS, _ISOLATES, _PDF, _PDI = "\u202a\u202b\u202d\u202e", "\u2066\u2067\u2068", "\u202c", "\u2069"
_BIDIRECTIONAL = re.compile(f"[{_EMBEDDINGS}{_ISOLATES}{_PDF}{_PDI}]")
# Unicode's categories of what shows; Co is private use, Cn what this Python does not know yet: the newest emoji.
_SHOWN = ("L", "N", "P", "S", "Co", "Cn")
# Of those, what shows nothing: Hangul fillers, the empty braille pattern, what is reserved for format characters.
_BLANK = re.compile("[\u115f\u1160\u3164\uffa0\u2800\u2065\ufdd0-\ufdef\ufff0-\ufff8\ufffe\uffff\U000e0000-\U000e0fff]")


def _refuse(reason: str, **values: object) -> PydanticCustomError:
    return PydanticCustomError("argument", reason, values or None)


def _code(char: str) -> str:
    return f"{ord(char):04X}"


def is_visible(text: str) -> bool:
    """Whether anything of the text can be seen: not only spaces, controls, format characters and bare marks."""
    return any(unicodedata.category(char).startswith(_SHOWN) for char in _BLANK.sub("", text))


def left_open(text: str) -> str:
    """The bidirectional embedding, override or isolate that nothing closes, the innermost; or ""."""
    opened: list[str] = []
    isolates = 0  # of those opened
    for char in _BIDIRECTIONAL.findall(text):
        if char == _PDF:
            if opened and opened[-1] in _EMBEDDINGS:
                opened.pop()
        elif char != _PDI:
            opened.append(char)
            isolates += char in _ISOLATES
        elif isolates:
            isolates -= 1
            while opened.pop() in _EMBEDDINGS:
                pass
    return opened[-1] if opened else ""


@dataclass(frozen=True)
class Text:
    """A string of ``minimum`` to ``maximum`` code points, counted (as PostgreSQL counts) after trimming.

    Refused are NUL, the other C0 controls but tab and newline, DEL, C1 controls, lone surrogates, and a bidirectional
    control that is left open: it would turn around what stands after the text. ``verbatim`` text may hold all but NUL
    and lone surrogates.
    """

    description: str
    maximum: int
    minimum: int = 0
    trim: bool = False
    visible: bool = False
    verbatim: bool = False

    def check(self, text: str) -> str:
        if found := (_REFUSED_VERBATIM if self.verbatim else _REFUSED).search(text):
            raise _refuse("must not contain the control character or lone surrogate U+{code}", code=_code(found[0]))
        if not self.verbatim and (char := left_open(text)):
            raise _refuse("must not leave the bidirectional control U+{code} open", code=_code(char))
        text = text.strip() if self.trim else text
        if self.visible and not is_visible(text):
            raise _refuse("must contain something visible")
        if not self.minimum <= len(text) <= self.maximum:
            raise _refuse(
                "must be {minimum} to {maximum} characters long, and this is {length}",
                minimum=self.minimum, maximum=self.maximum, length=len(text),
            )  # fmt: skip
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        bounds = {"minLength": self.minimum} if self.minimum else {}
        return {"type": "string", **bounds, "maxLength": self.maximum, "description": self.description}


@dataclass(frozen=True)
class Integer:
    """An integer from ``minimum`` to ``maximum``, or the same as a string of ASCII digits (models send that)."""

    description: str
    minimum: int
    maximum: int

    def check(self, value: object) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
            value = int(value)
        if type(value) is not int:  # a boolean is an int to Python, not to us
            raise _refuse("must be an integer")
        if not self.minimum <= value <= self.maximum:
            raise _refuse("must be from {minimum} to {maximum}", minimum=self.minimum, maximum=self.maximum)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        # JavaScript clients cannot represent the greatest bigint, so that bound stays out of the schema.
        bounds = {"maximum": self.maximum} if self.maximum < MAX_ID else {}
        return {"type": "integer", "minimum": self.minimum, **bounds, "description": self.description}


UserId = Annotated[
    str,
    Text(
        minimum=1,
        maximum=255,
        description='Whose tasks. Leave out or send "me" for your own; a service must name a user.',
    ),
]
