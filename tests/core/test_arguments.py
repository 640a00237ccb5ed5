"""The kinds of argument, each by itself."""

import re
import time
import unicodedata
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.support.tool_calls import CLOSED, CONTROLS, INVISIBLE, LEFT_OPEN, LONE_SURROGATES
from todo_mcp.core.arguments import MAX_ID, Integer, Text, UserId, is_visible

TITLE: TypeAdapter[str] = TypeAdapter(
    Annotated[str, Text(description="x", minimum=1, maximum=20, trim=True, visible=True)]
)
NOTE: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(description="x", maximum=20)])
WORDS: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(description="x", maximum=200, verbatim=True)])
NUMBER: TypeAdapter[int] = TypeAdapter(Annotated[int, Integer(description="x", minimum=1, maximum=MAX_ID)])
any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too


def refusal(adapter: TypeAdapter[Any], value: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python(value)
    return str(refused.value.errors()[0]["msg"])


@given(any_text)
def test_text_that_is_taken_can_be_stored_and_comes_back_as_it_was(text: str) -> None:
    try:
        taken = NOTE.validate_python(text)
    except ValidationError:
        refused = any(c in CONTROLS or 0xD800 <= ord(c) < 0xE000 for c in text)
        assert len(text) > 20 or refused or any(c in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068" for c in text)
    else:
        assert taken == text
        assert "\x00" not in taken.encode().decode()


@given(any_text)
def test_a_title_that_is_taken_shows_something_and_has_no_space_at_its_ends(text: str) -> None:
    try:
        taken = TITLE.validate_python(text)
    except ValidationError:
        return
    assert taken == text.strip()
    assert 1 <= len(taken) <= 20
    assert is_visible(taken)


def test_text_is_never_made_of_something_else() -> None:
    for value in (1, 1.5, True, None, b"abc", ["abc"], {"a": 1}):
        assert refusal(NOTE, value) == "Input should be a valid string"


def test_a_refused_character_is_told_by_its_code_point() -> None:
    for char in (*CONTROLS, *LONE_SURROGATES[:4]):
        expected = f"must not contain the control character or lone surrogate U+{ord(char):04X}"
        assert refusal(NOTE, f"a{char}b") == refusal(TITLE, f"{char} Buy milk") == expected


@pytest.mark.parametrize("text", LEFT_OPEN, ids=ascii)
def test_a_bidirectional_control_that_is_left_open_is_refused_by_its_code_point(text: str) -> None:
    for adapter in (NOTE, TITLE):
        said = refusal(adapter, f"x{text}")
        assert re.fullmatch(r"must not leave the bidirectional control U\+20[26][\dA-F] open", said)
        assert chr(int(said.split("U+")[1][:4], 16)) in text


@pytest.mark.parametrize("text", CLOSED, ids=ascii)
def test_bidirectional_controls_that_are_closed_are_taken(text: str) -> None:
    assert NOTE.validate_python(text) == TITLE.validate_python(text) == text


def test_a_text_of_nothing_but_bidirectional_controls_is_looked_at_once() -> None:
    began = time.perf_counter()
    for text in ("\u202a" * 50_000 + "\u2069" * 50_000, "\u2066" * 50_000 + "\u2069" * 50_000):
        with pytest.raises(ValidationError):
            NOTE.validate_python(text)
    assert time.perf_counter() - began < 2


def test_what_is_kept_verbatim_may_hold_all_that_can_be_stored() -> None:
    for char in (*CONTROLS[1:], *LEFT_OPEN):
        assert WORDS.validate_python(char) == char
    for char in ("\x00", *LONE_SURROGATES):
        assert "must not contain" in refusal(WORDS, char)


def test_a_length_is_told_with_its_bounds() -> None:
    assert refusal(NOTE, "x" * 21) == "must be 0 to 20 characters long, and this is 21"
    assert refusal(TITLE, f" {'🥛' * 21} ") == "must be 1 to 20 characters long, and this is 21"


@pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
def test_what_shows_nothing_is_no_title(text: str) -> None:
    assert refusal(TITLE, text[:20]) == "must contain something visible"
    assert TITLE.validate_python(f"a{text}"[:20])


def test_every_assigned_letter_number_punctuation_mark_and_symbol_can_be_seen_but_the_blank_ones() -> None:
    blank = {
        code for code in range(0x110000) if unicodedata.category(chr(code))[0] in "LNPS" and not is_visible(chr(code))
    }
    assert blank == {0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800}


def test_no_space_control_format_character_or_bare_mark_can_be_seen() -> None:
    categories = ("Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Mn", "Me", "Mc")
    assert not any(is_visible(chr(code)) for code in range(0x110000) if unicodedata.category(chr(code)) in categories)


@given(st.integers(1, MAX_ID))
def test_an_integer_and_its_digits_are_the_same(number: int) -> None:
    assert NUMBER.validate_python(number) == NUMBER.validate_python(str(number)) == number


@given(st.one_of(any_text, st.floats(), st.booleans(), st.none(), st.integers(), st.text("0123456789+-.e _xa")))
def test_whatever_is_taken_as_an_integer_is_one_in_range(value: Any) -> None:
    try:
        number = NUMBER.validate_python(value)
    except ValidationError:
        return
    assert type(number) is int
    assert 1 <= number <= MAX_ID
    assert type(value) is int or (isinstance(value, str) and set(value) <= set("0123456789"))


def test_bounds_of_an_integer_are_told() -> None:
    for number in (0, -1, MAX_ID + 1, "0", str(MAX_ID + 1), 10**400):
        assert refusal(NUMBER, number) == f"must be from 1 to {MAX_ID}"
    for other in (True, 1.0, "1.0", None, [1], "-1", "\uff19"):
        assert refusal(NUMBER, other) == "must be an integer"


def test_a_schema_says_what_a_model_needs_and_nothing_that_a_javascript_client_rounds() -> None:
    assert TITLE.json_schema() == {"type": "string", "minLength": 1, "maxLength": 20, "description": "x"}
    assert NUMBER.json_schema() == {"type": "integer", "minimum": 1, "description": "x"}
    hundred: TypeAdapter[int] = TypeAdapter(Annotated[int, Integer(description="x", minimum=1, maximum=100)])
    assert hundred.json_schema() == {"type": "integer", "minimum": 1, "maximum": 100, "description": "x"}


def test_a_user_id_is_taken_byte_for_byte() -> None:
    adapter: TypeAdapter[str] = TypeAdapter(UserId)
    for name in (" alice ", "Jose\u0301", "\u00a0", "\u200b", "me"):
        assert adapter.validate_python(name) == name
