"""Take apart what a person searches for.

The database compares: the functions of ``migrations/0006_search.sql`` fold texts and queries alike.
"""

import re
import unicodedata
from typing import NamedTuple

QUERY_MAX = 200  # characters
_PART = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)(?:"|$)|(?P<word>[^\s"]+))')
# Typographic quotes, which keyboards of phones and word processors insert.
_QUOTES = dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02"), '"')
_DASHES = "\u2010\u2011\u2012\u2013\u2212\uff0d"  # before a word they mean the minus sign
# Letters that tasks_lower replaces, beside those that Unicode takes apart.
_REPLACED = str.maketrans(
    {"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t", "ð": "d", "ı": "i", "ς": "σ"}  # noqa: RUF001 (other letters)
    | {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}
)
_LETTERS = ("L", "N", "M", "So")  # categories of characters that can be left of a term


def tag_key(tag: str) -> str:
    """What tags compare by: the tag without case, as ``tasks_lower`` writes it in the database."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", tag).lower().translate(_REPLACED))


class NotAQuery(ValueError):
    """The text is no query. The message tells the caller what to write instead."""


class Query(NamedTuple):
    """What must occur in a task, and what must not.

    A term that begins with a quotation mark is a phrase of whole words. The last word of any other term may continue.
    """

    terms: list[str]
    without: list[str]


def parse_query(text: str) -> Query:
    """Take a query apart: words, "phrases", and both with a minus sign before them.

    Raises:
        NotAQuery: the text is too long, has no letter or digit, or only excludes.
    """
    if len(text) > QUERY_MAX:
        raise NotAQuery(f"Use at most {QUERY_MAX} characters, for example: bank card.")
    terms: dict[bool, dict[str, None]] = {False: {}, True: {}}
    for part in _PART.finditer(re.sub(rf"(?<!\S)[{_DASHES}](?=\S)", "-", text.translate(_QUOTES))):
        phrase, word = part["phrase"], part["word"]
        term = word if phrase is None else f'"{phrase}'
        if any(unicodedata.category(character).startswith(_LETTERS) for character in term):
            terms[part["minus"] is not None][term] = None
    if not terms[False]:
        raise NotAQuery(
            "Add a word that must occur, for example: milk -oat."
            if terms[True]
            else "Write words with letters or digits, for example: bank card."
        )
    return Query(*map(list, terms.values()))


def parse_match(text: str) -> list[str]:
    """The words of ``match``: like a query, but quotation marks and minus signs mean nothing.

    Raises:
        NotAQuery: the text is too long, or has no letter or digit.
    """
    return parse_query(re.sub(r"(?<!\S)[-\"]+|\"", " ", text.translate(_QUOTES))).terms
