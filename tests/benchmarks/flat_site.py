"""The servers that `make flat` calls, and the users for whom it calls them."""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Person:
    """A user, a conversation of theirs, and cursors to the middle of each list.

    ``names`` has that conversation and a message in its middle, by id and by ref: ``conversation``,
    ``conversation_ref``, ``message`` and ``message_ref``.
    """

    user_id: str
    names: dict[str, Any]
    cursors: dict[str, str]


@dataclass
class Site:
    """A server over a database of some size, and how long each of its calls took, in milliseconds."""

    port: int
    token: str
    session: str
    people: dict[str, list[Person]]
    times: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, float]:
        """Status, body and milliseconds."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        started = time.perf_counter()
        self._connection.request(method, path, content, headers if content else headers | {"Content-Type": ""})
        response = self._connection.getresponse()
        answer = response.read()
        return response.status, answer, (time.perf_counter() - started) * 1000


Call = Callable[[Site, Person, dict[str, Any]], float]


def value_of(value: Any, person: Person, saved: dict[str, Any]) -> Any:
    """The value, or what a name that begins with $ stands for: what earlier calls saved, or what the person has."""
    if not str(value).startswith("$"):
        return value
    known = {**person.cursors, **person.names, **saved, "user": person.user_id}
    return known[value[1:]]
