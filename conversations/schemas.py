"""Arguments and results of the conversation operations."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from conversations.models import CONTENT_MAX
from todo_mcp.core.arguments import ADDED_BY_CLIENTS, Id, Integer, Text
from todo_mcp.core.envelope import Output

TURN_MAX = 100  # messages in one append

ConversationId = Annotated[int, Id(description="The conversation's id.")]
Limit = Annotated[
    int, Integer(minimum=1, maximum=100, description="How many to return at most, 1 to 100; 50 if left out.")
]
Last = Annotated[
    int,
    Integer(
        minimum=1,
        maximum=100,
        description="How many of the last messages to return, in order; not with limit or cursor.",
    ),
]
IdempotencyKey = Annotated[
    str,
    Text(
        minimum=8,
        maximum=64,
        description="Your own unique key for this one request, such as a UUID. Within 24 hours, the same key with the "
        "same body changes nothing more and returns the first result, so a retry is safe.",
    ),
]
Content = Annotated[
    str,
    Text(minimum=1, maximum=CONTENT_MAX, verbatim=True, description=f"The text, 1 to {CONTENT_MAX:,} characters."),
]


class MessageIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["user", "assistant"] = Field(description="Who wrote the message.")
    content: Content

    @model_validator(mode="before")
    @classmethod
    def drop_what_clients_add(cls, message: Any) -> Any:
        if not isinstance(message, dict):
            return message
        return {name: value for name, value in message.items() if name not in ADDED_BY_CLIENTS}


Turn = Annotated[
    list[MessageIn],
    Field(min_length=1, max_length=TURN_MAX, description=f"1 to {TURN_MAX} messages in order, appended all or none."),
]


class MessageOut(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: int
    conversation_id: int
    user_id: str
    role: str
    content: str
    created_at: datetime


class ConversationOut(Output):
    id: int
    user_id: str
    created_at: datetime
    updated_at: datetime

    def message(self) -> str:
        return f"Conversation {self.id}."


class ConversationDeleted(Output):
    id: int

    def message(self) -> str:
        return f"Deleted conversation {self.id} with its messages."


class ConversationList(Output):
    conversations: list[ConversationOut]
    has_more: bool
    next_cursor: str | None

    def message(self) -> str:
        return f"{len(self.conversations)} conversations."


class MessageList(Output):
    messages: list[MessageOut]
    has_more: bool = Field(description="Whether there are more messages in the direction of the page.")
    next_cursor: str | None

    def message(self) -> str:
        return f"{len(self.messages)} messages."


class MessagesAppended(Output):
    messages: list[MessageOut]
    repeated: bool = Field(default=False, exclude=True)

    def message(self) -> str:
        return f"Appended {len(self.messages)} messages."
