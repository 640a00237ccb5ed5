"""Strict JSON: what RFC 8259 allows, except duplicate keys and deep nesting. Python's extensions are refused."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from todo_mcp.core.strict_json import DEPTH_MAX, BadJson, parse

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_every_json_value_is_parsed(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary())
@example(b"\xff")
@example(b"[" * 100_000)
def test_any_bytes_are_parsed_or_refused_with_a_reason(body: bytes) -> None:
    try:
        parse(body)
    except BadJson as bad:
        assert str(bad)
        assert not str(bad).endswith(".")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is not JSON"),
        (b" ", "is not JSON"),
        (b"{", "is not JSON"),
        (b"{}{}", "is not JSON"),
        (b"{} x", "is not JSON"),
        (b"'a'", "is not JSON"),
        (b"{a: 1}", "is not JSON"),
        (b"[1,]", "is not JSON"),
        (b"[1 2]", "is not JSON"),
        (b"01", "is not JSON"),
        (b"+1", "is not JSON"),
        (b".5", "is not JSON"),
        (b"0x10", "is not JSON"),
        (b"1_000", "is not JSON"),
        (b'"a\nb"', "is not JSON"),
        (b'"\\x41"', "is not JSON"),
        (b'"\\u00g0"', "is not JSON"),
        (b"true false", "is not JSON"),
        (b"// comment\n1", "is not JSON"),
        (b"\x0b1", "is not JSON"),
        (b"\xef\xbb\xbf1", "is not JSON"),  # a byte order mark; RFC 8259 forbids senders to add one
        (b"9" * 5000, "is not JSON"),  # more digits than Python converts
        (b'"\xff"', "is not UTF-8"),
        (b'"\xed\xa0\x80"', "is not UTF-8"),  # a surrogate, encoded
        (b'"\xc0\xaf"', "is not UTF-8"),  # an overlong slash
        ('"a"'.encode("utf-16"), "is not UTF-8"),
        (b"NaN", "holds NaN, which is not JSON"),
        (b"[Infinity]", "holds Infinity, which is not JSON"),
        (b'{"a": -Infinity}', "holds -Infinity, which is not JSON"),
        (b'{"a": 1, "a": 1}', "holds the same key twice in one object"),
        (b'{"a": 1, "\\u0061": 2}', "holds the same key twice in one object"),
        (b'[{"x": {"": 1, "": 1}}]', "holds the same key twice in one object"),
    ],
)
def test_a_body_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(BadJson) as refused:
        parse(body)
    assert str(refused.value) == reason


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nesting_is_accepted_up_to_its_limit(opening: str, closing: str) -> None:
    levels = opening.count("[") + opening.count("{")
    count = DEPTH_MAX // levels
    parse((opening * count + "1" + closing * count).encode())
    for deeper in (count + 1, 500, 40_000):
        with pytest.raises(BadJson, match=f"^is nested deeper than {DEPTH_MAX}$"):
            parse((opening * deeper + "1" + closing * deeper).encode())


def test_many_brackets_side_by_side_are_not_nesting() -> None:
    assert parse(b"[" + b"[]," * 1000 + b"[]]") == [[]] * 1001
    assert parse(b'"' + b"[" * 1000 + b'"') == "[" * 1000


def test_the_same_key_in_different_objects_is_accepted() -> None:
    assert parse(b'[{"a": 1}, {"a": {"a": 2}}]') == [{"a": 1}, {"a": {"a": 2}}]


def test_an_escaped_lone_surrogate_is_left_to_the_check_of_the_argument() -> None:
    assert parse(b'"\\ud800"') == "\ud800"
    assert parse(b'"\\ud83e\\udd5b"') == "\U0001f95b"
