"""The argument types of operations. Each error message tells a model or a person how to correct the argument.

Arguments are validated here, once, before any query. Database constraints repeat the invariants.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, core_schema

MAX_ID = 2**63 - 1  # the largest bigint of PostgreSQL
MAX_EXACT_FLOAT = 2**53  # above it, a JSON number such as 7.0 may stand for more than one integer
# Clients add these to the arguments of a tool by themselves. They mean nothing here.
ADDED_BY_CLIENTS = frozenset({"toolCallId", "task_progress", "random_string", "_meta"})

_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_VERBATIM = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL cannot store these
# Unicode's bidirectional algorithm (UAX #9): PDF closes one embedding or override.
# PDI closes an isolate and every embedding or override inside it.
_EMBEDDINGS, _ISOLATES, _PDF, _PDI = "\u202a\u202b\u202d\u202e", "\u2066\u2067\u2068", "\u202c", "\u2069"
_NEWLINE = re.compile("\r\n?")
_BIDIRECTIONAL = re.compile(f"[{_EMBEDDINGS}{_ISOLATES}{_PDF}{_PDI}]")
# The Unicode categories of visible characters. Co is private use. Cn is unknown to this version of Python, such as
# the newest emoji.
_VISIBLE = ("L", "N", "P", "S", "Co", "Cn")
# Invisible characters of these categories: Hangul fillers, the empty braille pattern, and code points that Unicode
# reserves for format characters.
_BLANK = re.compile("[\u115f\u1160\u3164\uffa0\u2800\u2065\ufdd0-\ufdef\ufff0-\ufff8\ufffe\uffff\U000e0000-\U000e0fff]")


def refuse(reason: str, **values: object) -> PydanticCustomError:
    """The error of an argument type. The reason follows the argument's name; ``{name}`` stands for a value."""
    return PydanticCustomError("argument", reason, values or None)


def _description(text: str) -> dict[str, str]:
    return {"description": text} if text else {}


def is_empty(value: object) -> bool:
    """Whether a value means that an optional argument is left out: null, an empty string or an empty list."""
    return value is None or value == "" or value == []


def _code(char: str) -> str:
    """The character as U+XXXX, with its name if Unicode gives it one. Control characters and surrogates have none."""
    name = unicodedata.name(char, "")
    return f"U+{ord(char):04X}" + (f" ({name})" if name else "")


def is_visible(text: str) -> bool:
    """Whether the text has a visible character: not only spaces, controls, format characters and combining marks."""
    return any(unicodedata.category(char).startswith(_VISIBLE) for char in _BLANK.sub("", text))


def unclosed_control(text: str) -> str:
    """The innermost bidirectional embedding, override or isolate that is not closed, or "" if there is none."""
    controls: list[str] = []  # not closed yet, the innermost last
    isolates = 0  # in controls
    for char in _BIDIRECTIONAL.findall(text):
        if char == _PDF:
            if controls and controls[-1] in _EMBEDDINGS:
                controls.pop()
        elif char != _PDI:
            controls.append(char)
            isolates += char in _ISOLATES
        elif isolates:
            isolates -= 1
            while controls.pop() in _EMBEDDINGS:
                pass
    return controls[-1] if controls else ""


@dataclass(frozen=True, kw_only=True)
class Text:
    """A string of ``minimum`` to ``maximum`` code points. The length is counted as PostgreSQL counts it.

    The text must not contain lone surrogates, DEL, C1 controls, or C0 controls other than tab and newline.
    It must close every bidirectional control, because an open one would reorder the text that follows it.

    Args:
        trim: white space around the text is removed, before its length is counted.
        lines: CR LF and CR become LF, before the length is counted.
        visible: the text must have a visible character.
        verbatim: the text is kept as it is. Only NUL and lone surrogates are refused.
        in_schema: the schema says the maximum too.
    """

    description: str = ""
    maximum: int
    minimum: int = 0
    trim: bool = False
    lines: bool = False
    visible: bool = False
    verbatim: bool = False
    in_schema: bool = True

    def check(self, text: str) -> str:
        text = _NEWLINE.sub("\n", text) if self.lines else text
        if match := (_FORBIDDEN_VERBATIM if self.verbatim else _FORBIDDEN).search(text):
            raise refuse("must not contain the control character or lone surrogate {code}", code=_code(match[0]))
        if not self.verbatim and (char := unclosed_control(text)):
            raise refuse("must not leave the bidirectional control {code} open", code=_code(char))
        text = text.strip() if self.trim else text
        if self.visible and not is_visible(text):
            raise refuse("must contain something visible")
        if not self.minimum <= len(text) <= self.maximum:
            raise refuse(
                "must be {minimum} to {maximum} characters long, and this is {length}",
                minimum=self.minimum, maximum=self.maximum, length=len(text),
            )  # fmt: skip
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        bounds = {"maxLength": self.maximum} if self.in_schema else {}
        return {"type": "string", **bounds, **_description(self.description)}


@dataclass(frozen=True, kw_only=True)
class TitleText(Text):
    """The title of something: it is trimmed, and has something visible."""

    maximum: int = 200
    minimum: int = 1
    trim: bool = True
    lines: bool = True
    visible: bool = True


@dataclass(frozen=True, kw_only=True)
class Integer:
    """An integer from ``minimum`` to ``maximum``.

    A string of ASCII digits is accepted too, because models send it. So is a JSON number without a fraction, such as
    7.0: JSON Schema calls it an integer.
    """

    description: str = ""
    minimum: int
    maximum: int

    def check(self, value: object) -> int:
        if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT_FLOAT:
            value = int(value)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
            value = int(value)
        if type(value) is not int:  # refuses booleans, which are ints in Python
            raise refuse("must be an integer")
        if not self.minimum <= value <= self.maximum:
            raise refuse("must be from {minimum} to {maximum}", minimum=self.minimum, maximum=self.maximum)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "integer", **_description(self.description)}


@dataclass(frozen=True, kw_only=True)
class Id(Integer):
    """A number that names something. In an optional argument, 0 means that it is left out, unless it is allowed."""

    description: str = ""
    minimum: int = 1
    maximum: int = MAX_ID

    @staticmethod
    def is_zero(value: object) -> bool:
        """Whether a value is 0, in any form in which an id may be sent."""
        return (type(value) in (int, float) and value == 0) or (isinstance(value, str) and set(value) == {"0"})


UserId = Annotated[
    str,
    Text(
        minimum=1,
        maximum=255,
        in_schema=False,
        description="Only for services.",
    ),
]

_USER_ID: TypeAdapter[str] = TypeAdapter(UserId)


def named_user(arguments: Mapping[str, Any]) -> str | None:
    """The user whom the arguments name, also if other arguments are not valid. None if that is not a valid id."""
    try:
        return _USER_ID.validate_python(arguments.get("user_id"))
    except ValidationError:
        return None
