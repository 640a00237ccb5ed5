"""Removing rows that have had their time, a batch in each transaction, so that nobody waits long for a lock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

BATCH = 1000  # rows


@dataclass(frozen=True)
class Purge:
    """A kind of row, which of them are due, and how to remove some by their primary keys."""

    name: str
    due: Callable[[], QuerySet[Any]]
    remove: Callable[[list[Any]], object]

    def count(self) -> int:
        """How many rows are due now."""
        return self.due().count()

    def run(self) -> Iterator[int]:
        """Remove what is due, saying after each batch how many rows that was.

        Rows that somebody else holds locked are left for the next time.
        """
        while True:
            with transaction.atomic():
                rows = self.due().select_for_update(skip_locked=True)
                ids = list(rows.values_list("pk", flat=True)[:BATCH])
                if not ids:
                    return
                self.remove(ids)
            yield len(ids)
