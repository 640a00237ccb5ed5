"""The words that phrases for days and for repeats share, and the error for a phrase that is not understood."""

import re
from typing import Final

LONGEST_PHRASE: Final = 100  # characters; a longer phrase is refused before it is read

WEEKDAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTH_NAMES: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_NUMBER_NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ORDINAL_NAMES = (
    *("first", "second", "third", "fourth", "fifth", "sixth"),
    *("seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
)


def _spellings(names: tuple[str, ...], first: int) -> dict[str, int]:
    """Each name in full and cut to three letters."""
    return {word: value for value, name in enumerate(names, first) for word in (name.lower(), name[:3].lower())}


# Each spelling and its value. A weekday is 0 for Monday, as in `date.weekday()`. A month is 1 to 12.
WEEKDAYS: Final = _spellings(WEEKDAY_NAMES, 0) | {"tues": 1, "weds": 2, "thur": 3, "thurs": 3}
MONTHS: Final = _spellings(MONTH_NAMES, 1) | {"sept": 9}
NUMBERS: Final = {name: value for value, name in enumerate(_NUMBER_NAMES, 1)}
ORDINALS: Final = {name: value for value, name in enumerate(_ORDINAL_NAMES, 1)}

# Pieces of regular expressions. The longest spelling comes first.
WEEKDAY: Final = "|".join(sorted(WEEKDAYS, key=len, reverse=True))
MONTH: Final = "|".join(sorted(MONTHS, key=len, reverse=True))

_NUMBER_WORD = re.compile(rf"\b({'|'.join((*NUMBERS, *ORDINALS))})\b")
_AM_OR_PM = re.compile(r"\b([ap])\.m\b\.?")


class NotUnderstood(ValueError):
    """A phrase that is not in the list of words, or that could mean two days. The text says what to write instead."""


def normalise(text: str) -> str:
    """Return the phrase in lower case with single spaces and without one full stop at the end."""
    phrase = " ".join(text.lower().split())
    if phrase.endswith(".") and not phrase.endswith(".."):
        phrase = phrase[:-1].rstrip()
    return _AM_OR_PM.sub(r"\1m", phrase)


def with_digits(phrase: str) -> str:
    """Write numbers from one to twelve in digits: `three` becomes `3`, and `third` becomes `3rd`."""
    return _NUMBER_WORD.sub(lambda word: _digits(word[0]), phrase)


def ordinal(number: int) -> str:
    """Return `1st`, `2nd`, `3rd`, `4th`, …"""
    if 10 < number % 100 < 14:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def quoted(text: str) -> str:
    """Return the phrase for an error: at most 40 characters, without control characters or direction marks."""
    safe = "".join(character if character.isprintable() else "?" for character in " ".join(text[:200].split()))
    return f"'{safe}'" if len(safe) <= 40 else f"'{safe[:39]}…'"


def _digits(word: str) -> str:
    return str(NUMBERS[word]) if word in NUMBERS else ordinal(ORDINALS[word])
