"""Removal of expired rows. Each batch is one transaction, so no other transaction waits long for a lock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

BATCH = 1000  # rows per transaction


@dataclass(frozen=True)
class Purge:
    """A kind of row with a limited lifetime.

    Args:
        name: the plural name of the rows, for output.
        due: the query for rows that must go now.
        remove: removes rows by their primary keys.
        with_rows_of: further tables, of which ``remove`` removes the rows that belong to these.
    """

    name: str
    due: Callable[[], QuerySet[Any]]
    remove: Callable[[list[Any]], object]
    with_rows_of: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that this keeps from growing for ever."""
        return self.due().model._meta.db_table, *self.with_rows_of

    def count(self) -> int:
        """How many rows are due now."""
        return self.due().count()

    def run(self) -> Iterator[int]:
        """Remove all due rows. Yields the number of rows after each batch.

        Rows that another transaction has locked stay until the next run.
        """
        while True:
            with transaction.atomic():
                rows = self.due().select_for_update(skip_locked=True)
                ids = list(rows.values_list("pk", flat=True)[:BATCH])
                if not ids:
                    return
                self.remove(ids)
            yield len(ids)
