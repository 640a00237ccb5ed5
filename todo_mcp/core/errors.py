"""The errors that a caller sees. Each has the code and the name that the envelope contains.

::

    TodoError
    ├── InvalidArguments     400  invalid_arguments
    ├── Forbidden            403  forbidden
    │   └── ScopeMissing     403  forbidden, with an OAuth challenge
    ├── QuotaExceeded        403  quota_exceeded
    ├── UserNotFound         404  user_not_found
    ├── UnknownTool          404  unknown_tool
    ├── TaskNotFound         404  task_not_found
    ├── ConversationNotFound 404  conversation_not_found
    ├── MessageNotFound      404  message_not_found
    ├── IdempotencyConflict  409  idempotency_conflict
    ├── RefConflict          409  ref_conflict
    ├── AmbiguousMatch       409  ambiguous_match
    ├── VersionConflict      409  version_conflict
    ├── RateLimited          429  rate_limited
    │   └── TooManyAttempts  429  rate_limited, at sign-in
    ├── InternalError        500  internal_error
    └── Busy                 503  busy
        ├── ConnectionLost   503  busy, but the change may be committed
        └── KeysUnavailable  503  busy, over HTTP before any operation

    Unauthenticated          HTTP 401, before any operation, so without an envelope of a tool

Services raise these errors. Each transport converts them to its own form, in one place. A message says what to do
next and never contains text of a task.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from todo_mcp.core.token_rules import TokenRule


class TodoError(Exception):
    """Base class of every error that the caller receives in the envelope."""

    code: ClassVar[int]
    name: ClassVar[str]

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def data(self) -> dict[str, Any]:
        """The envelope's ``data``: ``error_code``, ``error`` and the error's own details."""
        return {"error_code": self.code, "error": self.name, **self.details}


class InvalidArguments(TodoError):
    """An argument is missing, unknown, of the wrong type or out of bounds; ``fields`` says which and why."""

    code, name = 400, "invalid_arguments"

    def __init__(self, fields: dict[str, str], **details: Any) -> None:
        reasons = "; ".join(f"{field}: {reason.rstrip('.')}" for field, reason in fields.items())
        super().__init__(f"Nothing was done. Correct these and call again: {reasons}.", fields=fields, **details)


class Forbidden(TodoError):
    """The caller may not act for this user."""

    code, name = 403, "forbidden"


class ScopeMissing(Forbidden):
    """The token lacks a scope. ``needed`` lists all scopes that the operation needs (RFC 6750 section 3.1)."""

    def __init__(self, scope: str, *, needed: str = "") -> None:
        super().__init__(f"This token lacks the scope {scope}. Connect again and grant it, or use a token that has it.")
        self.needed = needed or scope


class QuotaExceeded(TodoError):
    """A quota is used up. ``quota`` names it. Nothing was done.

    ``advice`` says what to delete, or when to go on. ``details`` are further data, such as ``retry_after``.
    """

    code, name = 403, "quota_exceeded"

    def __init__(self, quota: str, limit: int, reason: str, advice: str, **details: Any) -> None:
        super().__init__(f"Nothing was done: {reason}. {advice}", quota=quota, limit=limit, **details)


class UserNotFound(TodoError):
    """A service token named a user who does not exist."""

    code, name = 404, "user_not_found"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"User {user_id} not found. Check the user_id; an operator creates users.")


class UnknownTool(TodoError):
    """There is no tool of this name. ``names`` are those that there are."""

    code, name = 404, "unknown_tool"

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(f"Unknown tool. The tools are {', '.join(names)}.")


class TaskNotFound(TodoError):
    """This user has no such task. The message is the same if the task belongs to another user."""

    code, name = 404, "task_not_found"

    def __init__(self, *task_ids: int, **details: Any) -> None:
        which = f"Task {task_ids[0]}" if len(task_ids) == 1 else f"Tasks {', '.join(map(str, task_ids))}"
        super().__init__(f"{which} not found. Call list_tasks to see valid ids.", **details)


class NoTaskMatches(TaskNotFound):
    """No task fits the words. ``candidates`` has tasks that fit otherwise: by other text, or in another state."""

    def __init__(self, candidates: list[dict[str, Any]]) -> None:
        hint = "See data.candidates, and send the task_id." if candidates else "Call list_tasks with query to look."
        TodoError.__init__(self, f"No task fits these words, and nothing was done. {hint}", candidates=candidates)


class AmbiguousMatch(TodoError):
    """Several tasks fit the words. ``candidates`` has up to five, the likeliest first. Nothing was done."""

    code, name = 409, "ambiguous_match"

    def __init__(self, candidates: list[dict[str, Any]]) -> None:
        super().__init__(
            "Several tasks fit these words, and nothing was done. Ask which of data.candidates is meant, "
            "then send its task_id.",
            candidates=candidates,
        )


class VersionConflict(TodoError):
    """A task or a conversation has changed since the caller read it. Or a task, since the call that an undo names.

    Nothing was done.
    """

    code, name = 409, "version_conflict"


class ConversationNotFound(TodoError):
    """This user has no such conversation. The message is the same if it belongs to another user."""

    code, name = 404, "conversation_not_found"

    def __init__(self, conversation_id: int | str) -> None:
        super().__init__(f"Conversation {conversation_id} not found. List the conversations to see valid ids.")


class MessageNotFound(TodoError):
    """The conversation has no such message. The message is the same if another conversation has it."""

    code, name = 404, "message_not_found"

    def __init__(self, message_id: int | str) -> None:
        super().__init__(
            f"Message {message_id} not found in this conversation, and nothing was done. "
            "List its messages to see valid ids."
        )


class RefConflict(TodoError):
    """The ref is taken: by another conversation of the user, or by another message of the conversation."""

    code, name = 409, "ref_conflict"

    def __init__(self, ref: str) -> None:
        super().__init__(
            f"The ref {ref} is taken, and nothing was done. Use another one, or change what has it with PUT.", ref=ref
        )


class IdempotencyConflict(TodoError):
    """The key was used in the last 24 hours with other arguments."""

    code, name = 409, "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__(
            "This idempotency_key was already used with other arguments. "
            "Use a new key for a new task, or repeat the first arguments exactly."
        )


class RateLimited(TodoError):
    """The user has made more calls than the operator allows; ``retry_after`` is in seconds."""

    code, name = 429, "rate_limited"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"Too many calls. Wait {retry_after} s, then repeat the call unchanged.", retry_after=retry_after
        )


class TooManyAttempts(RateLimited):
    """Too many passwords or secrets were tried, or wait to be checked; ``retry_after`` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.message = f"Too many attempts. Nothing was changed. Wait {retry_after} s, then try again."


class Busy(TodoError):
    """No database connection became free in time, or the database cannot be used. Nothing was done."""

    code, name = 503, "busy"

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__(
            f"The server is busy, and nothing was done. Wait {retry_after} s, then repeat the call unchanged.",
            retry_after=retry_after,
        )


class ConnectionLost(Busy):
    """The database did not answer the commit, so it is unknown whether the change was committed."""

    def __init__(self) -> None:
        super().__init__()
        self.message = (
            "The connection to the database failed, so the call may or may not have been done. "
            "Check before you repeat it; with the same idempotency key you may repeat it at once."
        )


class KeysUnavailable(Busy):
    """The keys of the token's issuer are unavailable, so the token cannot be verified."""

    def __init__(self) -> None:
        super().__init__(retry_after=5)


class InternalError(TodoError):
    """A defect of this server. The log has the cause under ``request_id``; the caller never receives it."""

    code, name = 500, "internal_error"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"The call failed because of a fault in the server. Tell its operator the request id {request_id}.",
            request_id=request_id,
        )


class RuleBroken(Exception):
    """An operation breaks a rule of ``core.operations.operation``. This is a defect: the call gets an InternalError."""


class Unauthenticated(Exception):
    """The credentials are missing or invalid.

    ``rule`` and ``issuer`` are for the log. ``issuer`` is the configured issuer that a JWT names, or empty.
    ``invalid_token`` is False if no credentials were sent (RFC 6750, section 3).
    """

    def __init__(self, rule: TokenRule, *, issuer: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.issuer = issuer
        self.invalid_token = rule is not TokenRule.NO_CREDENTIALS
