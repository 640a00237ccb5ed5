"""Each kind of argument on its own."""

import re
import time
import unicodedata
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.support.tool_calls import CLOSED, CONTROLS, INVISIBLE, LEFT_OPEN, LONE_SURROGATES
from todo_mcp.core.arguments import MAX_EXACT_FLOAT, MAX_ID, Integer, Text, UserId, is_visible

TITLE: TypeAdapter[str] = TypeAdapter(
    Annotated[str, Text(description="x", minimum=1, maximum=20, trim=True, lines=True, visible=True)]
)
NOTE: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(description="x", maximum=20)])
PROSE: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(description="x", maximum=5, lines=True)])
WORDS: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(description="x", maximum=200, verbatim=True)])
NUMBER: TypeAdapter[int] = TypeAdapter(Annotated[int, Integer(description="x", minimum=1, maximum=MAX_ID)])
any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too


def refusal(adapter: TypeAdapter[Any], value: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python(value)
    return str(refused.value.errors()[0]["msg"])


@given(any_text)
def test_accepted_text_can_be_stored_and_is_unchanged(text: str) -> None:
    try:
        value = NOTE.validate_python(text)
    except ValidationError:
        has_forbidden_character = any(c in (*CONTROLS, "\r") or 0xD800 <= ord(c) < 0xE000 for c in text)
        assert (
            len(text) > 20
            or has_forbidden_character
            or any(c in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068" for c in text)
        )
    else:
        assert value == text
        assert "\x00" not in value.encode().decode()


@given(any_text)
def test_an_accepted_title_is_visible_and_trimmed(text: str) -> None:
    try:
        title = TITLE.validate_python(text)
    except ValidationError:
        return
    assert title == text.replace("\r\n", "\n").replace("\r", "\n").strip()
    assert 1 <= len(title) <= 20
    assert is_visible(title)


def test_other_types_are_never_converted_to_text() -> None:
    for value in (1, 1.5, True, None, b"abc", ["abc"], {"a": 1}):
        assert refusal(NOTE, value) == "Input should be a valid string"


def test_a_refusal_names_the_code_point_of_the_character() -> None:
    for char in (*CONTROLS, *LONE_SURROGATES[:4]):
        expected = f"must not contain the control character or lone surrogate U+{ord(char):04X}"
        assert refusal(NOTE, f"a{char}b") == refusal(TITLE, f"{char} Buy milk") == expected


@pytest.mark.parametrize("text", LEFT_OPEN, ids=ascii)
def test_an_unclosed_bidirectional_control_is_refused_by_its_code_point(text: str) -> None:
    for adapter in (NOTE, TITLE):
        reason = refusal(adapter, f"x{text}")
        assert re.fullmatch(r"must not leave the bidirectional control U\+20[26][\dA-F] \([A-Z -]+\) open", reason)
        assert chr(int(reason.split("U+")[1][:4], 16)) in text


@pytest.mark.parametrize("text", CLOSED, ids=ascii)
def test_closed_bidirectional_controls_are_accepted(text: str) -> None:
    assert NOTE.validate_python(text) == TITLE.validate_python(text) == text


def test_a_text_of_only_bidirectional_controls_is_checked_in_one_pass() -> None:
    began = time.perf_counter()
    for text in ("\u202a" * 50_000 + "\u2069" * 50_000, "\u2066" * 50_000 + "\u2069" * 50_000):
        with pytest.raises(ValidationError):
            NOTE.validate_python(text)
    assert time.perf_counter() - began < 2


def test_verbatim_text_may_hold_every_character_that_can_be_stored() -> None:
    for char in (*CONTROLS[1:], *LEFT_OPEN):
        assert WORDS.validate_python(char) == char
    for char in ("\x00", *LONE_SURROGATES):
        assert "must not contain" in refusal(WORDS, char)


@pytest.mark.parametrize(
    ("text", "stored"),
    [("a\r\nb", "a\nb"), ("a\rb", "a\nb"), ("\r\r\n\n\r", "\n\n\n\n"), ("\n\r", "\n\n"), ("1\r\n3\r\n5", "1\n3\n5")],
    ids=ascii,
)
def test_cr_lf_and_cr_are_newlines(text: str, stored: str) -> None:
    assert PROSE.validate_python(text) == stored
    assert TITLE.validate_python(f"a{text}b") == f"a{stored}b"
    assert WORDS.validate_python(text) == text
    assert "U+000D" in refusal(NOTE, text)


def test_a_refused_length_is_named_with_its_bounds() -> None:
    assert refusal(NOTE, "x" * 21) == "must be 0 to 20 characters long, and this is 21"
    assert refusal(TITLE, f" {'🥛' * 21} ") == "must be 1 to 20 characters long, and this is 21"


@pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
def test_an_invisible_title_is_refused(text: str) -> None:
    assert refusal(TITLE, text[:20]) == "must contain something visible"
    assert TITLE.validate_python(f"a{text}"[:20])


def test_every_assigned_letter_number_punctuation_mark_and_symbol_is_visible_except_blank_ones() -> None:
    blank = {
        code for code in range(0x110000) if unicodedata.category(chr(code))[0] in "LNPS" and not is_visible(chr(code))
    }
    assert blank == {0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800}


def test_no_space_control_format_character_or_bare_mark_is_visible() -> None:
    categories = ("Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Mn", "Me", "Mc")
    assert not any(is_visible(chr(code)) for code in range(0x110000) if unicodedata.category(chr(code)) in categories)


@given(st.integers(1, MAX_ID))
def test_an_integer_equals_its_digits(number: int) -> None:
    assert NUMBER.validate_python(number) == NUMBER.validate_python(str(number)) == number


@given(st.one_of(any_text, st.floats(), st.booleans(), st.none(), st.integers(), st.text("0123456789+-.e _xa")))
def test_an_accepted_integer_is_in_range(value: Any) -> None:
    try:
        number = NUMBER.validate_python(value)
    except ValidationError:
        return
    assert type(number) is int
    assert 1 <= number <= MAX_ID
    if isinstance(value, float):
        assert (number, abs(value) <= MAX_EXACT_FLOAT) == (value, True)
    else:
        assert type(value) is int or (isinstance(value, str) and set(value) <= set("0123456789"))


@pytest.mark.parametrize("number", [1.0, 7.0, 1e2, float(MAX_EXACT_FLOAT)])
def test_a_json_number_without_a_fraction_is_an_integer(number: float) -> None:
    assert NUMBER.validate_python(number) == int(number)
    assert type(NUMBER.validate_python(number)) is int


def test_a_refused_integer_is_named_with_its_bounds() -> None:
    for number in (0, -1, MAX_ID + 1, "0", str(MAX_ID + 1), 10**400):
        assert refusal(NUMBER, number) == f"must be from 1 to {MAX_ID}"
    for other in (True, 1.5, "1.0", "1e2", None, [1], "-1", "\uff19", 2.0**53 + 2, 1e300, float("inf"), float("nan")):
        assert refusal(NUMBER, other) == "must be an integer"


def test_a_schema_has_what_a_model_needs_and_no_bounds_of_a_number() -> None:
    """Some clients fail at bounds of a number. A title of no length is refused, and needs no words."""
    assert TITLE.json_schema() == {"type": "string", "maxLength": 20, "description": "x"}
    assert NUMBER.json_schema() == {"type": "integer", "description": "x"}
    hundred: TypeAdapter[int] = TypeAdapter(Annotated[int, Integer(description="x", minimum=1, maximum=100)])
    assert hundred.json_schema() == {"type": "integer", "description": "x"}


def test_a_user_id_is_kept_byte_for_byte() -> None:
    adapter: TypeAdapter[str] = TypeAdapter(UserId)
    for name in (" alice ", "Jose\u0301", "\u00a0", "\u200b", "me"):
        assert adapter.validate_python(name) == name
