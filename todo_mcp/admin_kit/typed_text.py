"""What an operator typed into a form that was not accepted: which fields can be carried, and which are shown.

Passwords and tokens are never carried. Only the operator's own browser gets the text, in the answer to its request.
"""

import json
import re
import string
from collections.abc import Iterable

from django.http import HttpRequest

GIVEN_BACK = "_given_back"  # in a POST: show the form with these values, and save nothing
CARRIED = "carried"  # in the POST of a sign-in: the fields to give back afterwards
CARRIED_MAX = 32 * 1024  # characters of all names and values, as JSON
_SECRET_NAME = re.compile("password|token|secret", re.IGNORECASE)
_SECRET_MARK = re.compile(r"todo_[\w-]{8}|eyJ[\w-]{6}|\bBearer\s|\bAuthorization:", re.IGNORECASE)
_SECRET_LENGTH = 40  # characters of a word that may be a secret, if it mixes small and capital letters and digits
_SECRET_LETTERS = frozenset(string.ascii_letters + string.digits + "._~+/=-")
_OF_THE_PAGE = re.compile("_|initial-|action$|index$|next$|select_across$|seen$|carried$|from_row$")

Fields = list[tuple[str, str]]


def looks_secret(text: str) -> bool:
    """Whether the text may hold a token: no page carries it, and no address has it."""
    return bool(_SECRET_MARK.search(text)) or any(map(_is_random, text.split()))


def typed_fields(request: HttpRequest) -> Fields:
    """The fields of this POST, without passwords and tokens."""
    pairs = [(name, str(value)) for name, values in request.POST.lists() for value in values]
    return [(name, value) for name, value in pairs if _is_open(name, value)]


def packed(fields: Fields) -> str:
    """The fields as JSON, to be carried. Empty if they are too long."""
    text = json.dumps(fields)
    return text if len(text) <= CARRIED_MAX else ""


def unpacked(text: str) -> Fields:
    """The fields that a sign-in carried. None if the text is not from ``packed``."""
    try:
        pairs = json.loads(text[:CARRIED_MAX])
        return [(str(name), str(value)) for name, value in pairs if _is_open(str(name), str(value))]
    except (ValueError, TypeError, RecursionError):
        return []


def shown(fields: Iterable[tuple[str, str]]) -> Fields:
    """The fields that a person typed or chose, with their names in words."""
    before = {name.removeprefix("initial-"): value for name, value in fields if name.startswith("initial-")}
    return [
        (name.replace("_", " ").capitalize(), value)
        for name, value in fields
        if value.strip() and not _OF_THE_PAGE.match(name) and before.get(name) != value
    ]


def _is_random(word: str) -> bool:
    kinds = (str.islower, str.isupper, str.isdigit)
    return len(word) >= _SECRET_LENGTH and _SECRET_LETTERS.issuperset(word) and all(any(map(k, word)) for k in kinds)


def _is_open(name: str, value: str) -> bool:
    is_of_us = name in ("csrfmiddlewaretoken", GIVEN_BACK, CARRIED)
    return not is_of_us and not _SECRET_NAME.search(name) and not looks_secret(value)
