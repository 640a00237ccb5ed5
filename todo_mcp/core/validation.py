"""The schemas and the errors of pydantic, as callers see them."""

from collections.abc import Iterable
from types import NoneType
from typing import Any, get_args

from pydantic import ValidationError

MAX_FIELDS = 20  # invalid arguments that one error names


def plain_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema with its definitions inlined, and without pydantic's titles, which only repeat the names.

    No definition of this project refers to itself, so inlining ends.
    """
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        definition = definitions[value["$ref"].rsplit("/", 1)[1]] if "$ref" in value else {}
        inlined = {**definition, **value}
        if "const" in inlined:  # some clients know only enum
            inlined["enum"] = [inlined.pop("const")]
        # Names are titles enough, and descriptions say what the default is. A property of this name is an object.
        for keyword in ("title", "default", "additionalProperties"):
            if not isinstance(inlined.get(keyword), dict):
                inlined.pop(keyword, None)
        return {key: resolve(inner) for key, inner in inlined.items() if key != "$ref"}

    result: dict[str, Any] = resolve(schema)
    return result


def known_field(schema: dict[str, Any], name: str) -> str:
    """The part of a field's name in an error that the schema knows, without positions: `tasks.due` for `tasks.3.due`.

    A name that is none of the schema's is `unknown`, because the caller chose it.
    """
    known: list[str] = []
    for part in name.split("."):
        schema = schema.get("items", schema)
        if part in (properties := schema.get("properties", {})):
            known.append(part)
            schema = properties[part]
        elif properties and not (known and part.isdigit()):
            return ".".join([*known, "unknown"])
    return ".".join(known) or "unknown"


def without_none(hint: Any) -> Any:
    """``X`` for ``X | None``: an optional argument may be left out, but is never null."""
    options = [option for option in get_args(hint) if option is not NoneType]
    return options[0] if NoneType in get_args(hint) else hint


def printable(name: str) -> str:
    """An argument's name that is safe to repeat in an answer: escaped to ASCII, at most 64 characters."""
    return name if name.isascii() and name.isprintable() and len(name) <= 64 else ascii(name)[1:-1][:64]


def reasons_of(error: ValidationError, allowed: Iterable[str]) -> dict[str, str]:
    """Map each invalid argument to the reason. The commonest messages of pydantic are replaced by plainer ones."""
    plain = {
        "missing": "is required",
        "string_type": "must be a string",
        "list_type": "must be a list",
        "extra_forbidden": f"unknown argument; allowed are {', '.join(allowed)}",
    }
    fields = {}
    for detail in error.errors(include_url=False, include_input=False)[:MAX_FIELDS]:
        reason = plain.get(detail["type"], detail["msg"])
        if detail["type"] == "literal_error":
            reason = f"must be one of {detail['ctx']['expected']}"
        elif detail["type"] == "too_long":
            reason = "must have at most {max_length} entries, and this has {actual_length}".format(**detail["ctx"])
        elif detail["type"] == "extra_forbidden" and len(detail["loc"]) > 1:
            reason = "unknown field"  # inside an argument, where the list of allowed arguments does not apply
        fields[".".join(printable(str(part)) for part in detail["loc"])] = reason
    return fields
