"""Changes of a checklist. Items are named by their number, by words that only one item has, or all by ``*``."""

import unicodedata
from collections.abc import Sequence

from tasks.changes.refusals import Refused
from tasks.models import CHECKLIST_MAX
from tasks.state import Item

ALL = "*"


def folded(text: str) -> str:
    """The text for comparisons: without case and accents, and with single spaces."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(char for char in plain if not unicodedata.combining(char)).split())


def replaced(items: Sequence[Item], texts: Sequence[str]) -> list[Item]:
    """A new list. An item with an equal text keeps its mark."""
    marks = {item["text"]: item["done"] for item in items}
    return [{"text": text, "done": marks.get(text, False)} for text in texts]


def edited(
    items: Sequence[Item],
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    check: Sequence[str] = (),
    uncheck: Sequence[str] = (),
) -> list[Item]:
    """The list after these changes. Numbers and words mean the items as they were before.

    Raises:
        Refused: no item or several items have these words, or the list would be too long.
    """
    removed = _choose(items, remove, "remove_items")
    done = dict.fromkeys(_choose(items, check, "check"), True)
    done |= dict.fromkeys(_choose(items, uncheck, "uncheck"), False)
    result = [
        {**item, "done": done.get(place, item["done"])} for place, item in enumerate(items) if place not in removed
    ]
    for text in add:
        same = [item for item in result if folded(item["text"]) == folded(text)]
        for item in same:
            item["done"] = False
        if not same:
            result.append({"text": text, "done": False})
    if len(result) > CHECKLIST_MAX:
        raise Refused("add_items", f"would make {len(result)} items; a checklist has at most {CHECKLIST_MAX}")
    return result


def _choose(items: Sequence[Item], choices: Sequence[str], field: str) -> set[int]:
    """The places of the chosen items."""
    chosen: set[int] = set()
    for choice in choices:
        chosen.update(range(len(items)) if choice == ALL else [_find(items, choice, field)])
    return chosen


def _find(items: Sequence[Item], choice: str, field: str) -> int:
    if not items:
        raise Refused(field, "names an item, and there is no checklist; use add_items")
    if choice.isascii() and choice.isdigit():
        number = int(choice) if len(choice) < 10 else 0
        if not 1 <= number <= len(items):
            raise Refused(field, f"names item {choice}, and there are {len(items)}; count from 1")
        return number - 1
    words = folded(choice).split()
    equal = [place for place, item in enumerate(items) if folded(item["text"]).split() == words]
    found = equal or [place for place, item in enumerate(items) if _has(item["text"], words)]
    if not found:
        raise Refused(field, "names no item by these words; use a number from 1, words of the item, or *")
    if len(found) > 1:
        numbers = ", ".join(str(place + 1) for place in found)
        raise Refused(field, f"names several items by these words ({numbers}); use the number")
    return found[0]


def _has(text: str, words: Sequence[str]) -> bool:
    """Whether each word begins a word of the text, or is in it if it has no spaces between words."""
    own = [part.strip(".,;:!?()[]\"'") for part in folded(text).split()]
    return all(any(part.startswith(word) or (not word.isascii() and word in part) for part in own) for word in words)
