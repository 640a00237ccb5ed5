"""What each user has used, as far as this worker knows. A call looks here, and sends no statement for its quotas.

The worker adds what its own calls write at once. It learns what other workers wrote when ``keeping`` exchanges the
counts with the database, a second later. A user whom the worker does not know yet counts as one who has nothing.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

from todo_mcp.core.errors import QuotaExceeded
from todo_mcp.postgres.operation_run import Use, current_run

USERS_MAX = 10_000  # users that a worker remembers; those that wrote least recently are forgotten first
DAY = 86_400  # seconds
ROW_BYTES = 500  # what a row takes in the database beside its texts, roughly


@dataclass(slots=True)
class Usage:
    """What one user has used. The writes are those of one day, a number of ``today``."""

    tasks: int
    bytes: int
    writes: int
    day: int

    def writes_on(self, day: int) -> int:
        return self.writes if self.day == day else 0

    def add(self, tasks: int, size: int, writes: int, day: int) -> None:
        self.tasks += tasks
        self.bytes += size
        if self.day != day:
            self.writes, self.day = 0, day
        self.writes += writes


class Usages:
    """The usage of this worker's latest users, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Usage] = OrderedDict()
        self._unwritten: dict[str, Usage] = {}

    def refusal(self, user_id: str, *, writes: int, size: int, tasks: int = 0) -> QuotaExceeded | None:
        """The refusal of a call that would write this much. None if the user's quotas allow it."""
        day = today()
        usage = self._known.get(user_id) or Usage(0, 0, 0, day)
        error = _refusal(usage, writes, size, tasks, day)
        if error:
            with self._lock:  # so that the next exchange reads what the user has now
                self._unwritten.setdefault(user_id, Usage(0, 0, 0, day))
        return error

    def record(self, user_id: str, use: Use) -> None:
        """Note what a call of the user has written."""
        day = today()
        known, unwritten = self._known, self._unwritten
        with self._lock:
            if user_id not in known:
                known[user_id] = Usage(0, 0, 0, day)
                self._forget()
            if user_id not in unwritten:
                unwritten[user_id] = Usage(0, 0, 0, day)
            known.move_to_end(user_id)
            known[user_id].add(use.tasks, use.size, use.writes, day)
            unwritten[user_id].add(use.tasks, use.size, use.writes, day)

    def take(self) -> dict[str, Usage]:
        """What was noted since the last call of ``take``, by user. A user who was only refused has zeros."""
        with self._lock:
            unwritten, self._unwritten = self._unwritten, {}
        return unwritten

    def put_back(self, taken: Mapping[str, Usage]) -> None:
        """Keep what could not be written for the next time."""
        with self._lock:
            for user_id, usage in taken.items():
                self._unwritten[user_id] = self._with_newer(user_id, usage)

    def learn(self, stored: Mapping[str, Usage]) -> None:
        """Replace what this worker believes of these users by what the database has."""
        with self._lock:
            for user_id, usage in stored.items():
                self._known[user_id] = self._with_newer(user_id, usage)
                self._known.move_to_end(user_id)
            self._forget()

    def _with_newer(self, user_id: str, usage: Usage) -> Usage:
        """The usage, and what calls have noted since."""
        if newer := self._unwritten.get(user_id):
            usage.add(newer.tasks, newer.bytes, newer.writes, newer.day)
        return usage

    def _forget(self) -> None:
        while len(self._known) > USERS_MAX:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._known.clear()
            self._unwritten.clear()


usages = Usages()  # this worker's


def today() -> int:
    """The day in UTC to which writes count, as the number of days since 1970."""
    return int(time.time()) // DAY


def may_write(user_id: str, *, writes: int = 1) -> bool:
    """Whether the quotas let the current call change this many tasks. Operators and commands have no quotas."""
    run = current_run()
    return run is None or usages.refusal(user_id, writes=writes, size=writes * ROW_BYTES) is None


def check_quotas(user_id: str, *, writes: int, size: int, tasks: int = 0) -> None:
    """Check the user's quotas before the current call writes. Operators and commands have no quotas.

    Call this where it is certain that the call changes something, so that a repetition gets its first answer.

    Args:
        writes: how many tasks the call adds or changes; 1 for a call on conversations.
        size: about how many bytes it stores. A call that frees bytes is not refused for them.
        tasks: how many tasks it adds.

    Raises:
        QuotaExceeded: the call would exceed a quota.
    """
    if current_run() and (error := usages.refusal(user_id, writes=writes, size=size, tasks=tasks)):
        raise error


def _refusal(usage: Usage, writes: int, size: int, tasks: int, day: int) -> QuotaExceeded | None:
    if (limit := settings.QUOTA_WRITES) and (count := usage.writes_on(day)) + writes > limit:
        wait = max(1, (day + 1) * DAY - int(time.time()))
        reason = f"the quota is {_of(limit, 'write')} a day, {count:,} were made today, and this call needs {writes:,}"
        advice = (
            f"Go on after midnight UTC, in {wait} s; until then you can still complete, delete and restore tasks and "
            "undo calls."
        )
        return QuotaExceeded("writes", limit, reason, advice, used=count, retry_after=wait)
    if tasks and (limit := settings.QUOTA_TASKS) and usage.tasks + tasks > limit:
        count = max(0, usage.tasks)
        reason = f"the quota is {_of(limit, 'task')}, there are {count:,}, and this call adds {tasks:,}"
        advice = (
            "Delete tasks that are not needed, completed ones first (list_tasks with status completed, then "
            "delete_task with task_ids), wait a few seconds, and call again."
        )
        return QuotaExceeded("tasks", limit, reason, advice, used=count)
    if size >= 0 and (limit := settings.QUOTA_BYTES) and usage.bytes + size > limit:
        count = max(0, usage.bytes)
        reason = f"the quota is {_of(limit, 'stored byte')}, {count:,} are used, and this call needs about {size:,}"
        advice = (
            "Delete conversations, which frees their bytes within seconds, or tasks, which free theirs when they leave "
            "the trash after 30 days, and call again."
        )
        return QuotaExceeded("bytes", limit, reason, advice, used=count)
    return None


def _of(limit: int, noun: str) -> str:
    return f"{limit:,} {noun}{'' if limit == 1 else 's'}"
