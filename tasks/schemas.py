"""Arguments and results of the task operations, with the texts that language models and people read."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from tasks.models import DESCRIPTION_MAX, TITLE_MAX
from todo_mcp.core.arguments import Id, Text
from todo_mcp.core.envelope import Output

Title = Annotated[
    str,
    Text(
        minimum=1,
        maximum=TITLE_MAX,
        trim=True,
        lines=True,
        visible=True,
        description=f"What is to be done, short, 1 to {TITLE_MAX} characters, in the person's own language.",
    ),
]
Description = Annotated[
    str,
    Text(
        maximum=DESCRIPTION_MAX,
        lines=True,
        description=f"Details, dates and times in words, at most {DESCRIPTION_MAX} characters.",
    ),
]
TaskId = Annotated[
    int,
    Id("The task's id, from add_task or list_tasks. Never guess it."),
]
IdempotencyKey = Annotated[
    str,
    Text(
        minimum=8,
        maximum=64,
        description="Your own unique word for this one addition, 8 to 64 characters, such as a UUID. Sending the same "
        "key again within 24 hours returns the first result and adds nothing, so a retry is safe.",
    ),
]
ConversationId = Annotated[
    int,
    Id("Set by the chat backend: the stored conversation it came from."),
]
MessageId = Annotated[int, Id("Set by the chat backend: the message in that conversation.")]
Clear = Annotated[list[Literal["description"]], Field(description="Fields to empty.")]


class TaskAdded(Output):
    task_id: int
    title: str
    created_at: datetime
    repeated: bool = Field(default=False, exclude=True)

    def message(self) -> str:
        if self.repeated:
            return f"This idempotency_key already added task {self.task_id}; this is that result and nothing was added."
        return f"Added task {self.task_id}: {_line(self.title)}."


class TaskCompleted(Output):
    task_id: int
    title: str
    updated_at: datetime
    repeated: bool = Field(default=False, exclude=True)

    def message(self) -> str:
        if self.repeated:
            return f"Task {self.task_id} was completed before: {_line(self.title)}. Nothing changed."
        return f"Completed task {self.task_id}: {_line(self.title)}."


class TaskDeleted(Output):
    task_id: int
    title: str

    def message(self) -> str:
        return f"Deleted task {self.task_id}: {_line(self.title)}. An operator can restore it for 30 days."


class TaskUpdated(Output):
    task_id: int
    title: str
    updated_fields: list[str]
    updated_at: datetime

    def message(self) -> str:
        if not self.updated_fields:
            return f"Task {self.task_id} had these values already: {_line(self.title)}. Nothing changed."
        return f"Updated {' and '.join(self.updated_fields)} of task {self.task_id}: {_line(self.title)}."


def _line(title: str) -> str:
    return " ".join(title.split())
