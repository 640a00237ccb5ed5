"""The contract in plain Python: who may do what to which task. It does not use Django, SQL or HTTP."""

from dataclasses import dataclass, field

ALL_SCOPES = ("tasks:read", "tasks:write", "tasks:act_as")


@dataclass
class Token:
    user_id: str | None  # None for a service
    scopes: frozenset[str]
    is_valid: bool = True


@dataclass
class Task:
    user_id: str
    title: str
    description: str = ""
    completed: bool = False
    deleted: bool = False


class Refused(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


@dataclass
class Model:
    active: dict[str, bool] = field(default_factory=dict)  # whether each user is active
    tokens: dict[str, Token] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)  # in the order in which they were added
    keys: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)  # (user, key) → (title, task)
    changes: int = 0  # how many versions the history must hold

    def admit(self, token: str, scope: str, user_id: str | None) -> str:
        """The user that a call acts for."""
        record = self.tokens[token]
        if not record.is_valid or (record.user_id is not None and not self.active[record.user_id]):
            raise Refused(401)
        if scope not in record.scopes:
            raise Refused(403)
        if record.user_id is not None:
            if user_id not in (None, "me", record.user_id):
                raise Refused(403)
            return record.user_id
        return self._user_of_service(record, user_id)

    def _user_of_service(self, service: Token, user_id: str | None) -> str:
        if "tasks:act_as" not in service.scopes:
            raise Refused(403)
        if user_id in (None, "me"):
            raise Refused(400)
        assert user_id is not None
        if user_id not in self.active:
            raise Refused(404)
        if not self.active[user_id]:
            raise Refused(403)
        return user_id

    def task_of_key(self, user_id: str, title: str, key: str | None) -> int | None:
        """The task that this key has already added, or None."""
        if key is None or (user_id, key) not in self.keys:
            return None
        first_title, task_id = self.keys[user_id, key]
        if first_title != title:
            raise Refused(409)
        return task_id

    def add(self, task_id: int, user_id: str, title: str, key: str | None) -> None:
        assert task_id not in self.tasks
        self.tasks[task_id] = Task(user_id, title)
        self.changes += 1
        if key is not None:
            self.keys[user_id, key] = (title, task_id)

    def find(self, user_id: str, task_id: int) -> Task:
        task = self.tasks.get(task_id)
        if task is None or task.user_id != user_id or task.deleted:
            raise Refused(404)
        return task

    def complete(self, user_id: str, task_id: int) -> None:
        task = self.find(user_id, task_id)
        self.changes += not task.completed
        task.completed = True

    def delete(self, user_id: str, task_id: int) -> None:
        self.find(user_id, task_id).deleted = True
        self.changes += 1

    def update(self, user_id: str, task_id: int, **changes: str) -> None:
        task = self.find(user_id, task_id)
        before = (task.title, task.description)
        task.title = changes.get("title", task.title)
        task.description = changes.get("description", task.description)
        self.changes += (task.title, task.description) != before

    def restore(self, task_id: int) -> None:
        task = self.tasks[task_id]
        if not task.deleted:
            raise Refused(404)
        task.deleted = False
        self.changes += 1

    def list_ids(self, user_id: str, status: str) -> list[int]:
        """The ids in the list, newest first."""
        states = {"all": (True, False), "pending": (False,), "completed": (True,)}[status]
        return [
            task_id
            for task_id, task in reversed(self.tasks.items())
            if task.user_id == user_id and not task.deleted and task.completed in states
        ]
