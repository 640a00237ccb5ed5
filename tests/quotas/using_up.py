"""Use up each quota of Alice, so that the next call that it covers is refused."""

from collections.abc import Callable
from typing import Any

from pytest_django.fixtures import Settings

from tests.support.factories import MessageFactory
from todo_mcp.quotas.usage import Usage, today, usages


def learn(user_id: str = "alice", *, tasks: int = 0, size: int = 0, writes: int = 0) -> None:
    """Let the worker believe that the user has used this."""
    usages.learn({user_id: Usage(tasks, size, writes, today())})


def _tasks(settings: Settings, conversation: Any) -> None:
    settings.QUOTA_TASKS = 7
    learn(tasks=7)


def _bytes(settings: Settings, conversation: Any) -> None:
    settings.QUOTA_BYTES = 1000
    learn(size=1000)


def _writes(settings: Settings, conversation: Any) -> None:
    settings.QUOTA_WRITES = 7
    learn(writes=7)


def _versions(settings: Settings, conversation: Any) -> None:
    settings.QUOTA_VERSIONS = 1


def _messages(settings: Settings, conversation: Any) -> None:
    settings.QUOTA_MESSAGES = 1
    MessageFactory.create(conversation=conversation)


USE_UP: dict[str, Callable[[Settings, Any], None]] = {
    "tasks": _tasks,
    "bytes": _bytes,
    "writes": _writes,
    "versions": _versions,
    "messages": _messages,
}
