"""A writer of the release before, which goes on while its tables are migrated."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import psycopg

USER = "alice"
Connection = psycopg.Connection[Any]


@dataclass
class Writer(ABC):
    """It knows the statements of the release before, and how each of its rows must look at the end."""

    app: ClassVar[str]  # whose migrations it must survive
    before: ClassVar[str]  # the last migration of the release before
    tables: ClassVar[tuple[str, ...]]

    url: str
    stopping: bool = False
    longest: float = 0.0  # seconds of one call, with all statements of its transaction
    calls: int = 0
    errors: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Write until ``stopping``, or until a write is refused."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self.stopping:
                try:
                    self._round(connection)
                except Exception as error:  # a writer that ends early would make the figures better than they are
                    self.errors.append(repr(error))
                    return

    @classmethod
    def use_new_columns(cls, connection: Connection) -> None:
        """Write what the release before does not know. The way back removes it."""
        return

    @contextmanager
    def _call(self) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.longest = max(self.longest, time.monotonic() - started)
        self.calls += 1

    @abstractmethod
    def _round(self, connection: Connection) -> None:
        """Make each kind of call once."""

    @classmethod
    @abstractmethod
    def fill(cls, connection: Connection, count: int) -> None:
        """Add rows from before the migration, all at once."""

    @classmethod
    @abstractmethod
    def lost(cls, writers: Sequence[Self], connection: Connection, rows: int) -> list[str]:
        """What is not as the writers and the filling of this many rows have left it."""
