"""JSON as we take it: stricter than Python's parser, so that a body means one thing only."""

import json
from typing import Any

DEPTH_MAX = 32
VALUES_MAX = 100_000  # in one body: each takes some 70 bytes of memory, and parsing them holds everybody else up


class BadJson(ValueError):
    """Why a body is refused: the end of a sentence that begins with it."""


def parse(body: bytes) -> Any:
    """The value of a JSON text (RFC 8259) in UTF-8.

    Raises:
        BadJson: not UTF-8, not JSON, NaN or Infinity, a key twice in one object, nested deeper than 32, or more than
            100,000 values.
    """
    if len(body) > VALUES_MAX and _marks(body) > VALUES_MAX and _marks(_outside_strings(body)) > VALUES_MAX:
        raise BadJson(f"holds more than {VALUES_MAX} values")
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except BadJson:
        raise
    except UnicodeDecodeError:
        raise BadJson("is not UTF-8") from None
    except RecursionError:
        raise BadJson(f"is nested deeper than {DEPTH_MAX}") from None
    except ValueError:
        raise BadJson("is not JSON") from None
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX and _depth(value) > DEPTH_MAX:
        raise BadJson(f"is nested deeper than {DEPTH_MAX}")
    return value


def _outside_strings(body: bytes) -> bytes:
    """What stands outside the strings. A regular expression would hold everybody up for ten times as long."""
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 4 * VALUES_MAX:  # a value is one string at most, and has a key
        raise BadJson(f"holds more than {VALUES_MAX} values")
    return b"".join(plain.split(b'"')[::2])


def _marks(body: bytes) -> int:
    """About as many as there are values: each begins a container or follows a comma."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise BadJson("holds the same key twice in one object")
    return value


def _refuse_constant(name: str) -> Any:
    raise BadJson(f"holds {name}, which is not JSON")


def _depth(value: Any) -> int:
    """How deep arrays and objects are nested, counted to one past the limit; a scalar is 0."""
    depth = 0
    level = [value]
    while depth <= DEPTH_MAX and (level := [outer for outer in level if isinstance(outer, (dict, list))]):
        depth += 1
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return depth
