"""Arguments and results of the operations on conversations and their messages."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from conversations.models import CONTENT_MAX, ITEM_MAX, METADATA_MAX, TITLE_MAX
from conversations.references import IdOrRef, Ref
from todo_mcp.core.arguments import ADDED_BY_CLIENTS, Integer, Text, TitleText
from todo_mcp.core.envelope import Output
from todo_mcp.core.json_text import JsonObject, JsonValue

TURN_MAX = 100  # messages in one append
REPLACED_MAX = 1_000  # messages that one append removes

ConversationId = Annotated[int | str, IdOrRef(description="The conversation's id or ref.")]
Title = Annotated[str, TitleText(maximum=TITLE_MAX, description="What it is about, for lists.")]
Metadata = Annotated[
    str, JsonObject(maximum=METADATA_MAX, description="Your own data, at most 16 KiB as compact JSON in UTF-8.")
]
Limit = Annotated[
    int, Integer(minimum=1, maximum=100, description="How many to return at most, 1 to 100; 50 if left out.")
]
ActivityOrder = Annotated[
    Literal["asc", "desc"], Field(description="asc: oldest activity first; desc, if left out: newest activity first.")
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
MessageId = Annotated[int | str, IdOrRef(description="The message's id or ref.")]
Replaced = Annotated[
    int | str,
    IdOrRef(
        minimum=0,  # 0 is not left out: it would append without removing anything
        description=f"The id or ref of a message. It and all after it are removed first, at most {REPLACED_MAX:,}.",
    ),
]
ExpectedLast = Annotated[
    int | str,
    IdOrRef(
        minimum=0,
        description="The id or ref of the message that must be the last one before the call; 0: there is none yet.",
    ),
]
After = Annotated[
    int | str,
    IdOrRef(description="The id or ref of a message. The list begins with what follows it in the order of the list."),
]
Last = Annotated[
    int,
    Integer(
        minimum=1,
        maximum=100,
        description="How many of the last messages to return, in order; not with limit, cursor, order or after.",
    ),
]
MessageOrder = Annotated[
    Literal["asc", "desc"], Field(description="asc, if left out: in order; desc: the latest message first.")
]
Role = Annotated[Literal["user", "assistant"], Field(description="Who wrote the message.")]
Content = Annotated[
    str,
    Text(
        minimum=1,
        maximum=CONTENT_MAX,
        verbatim=True,
        description=f"The text that a person reads, 1 to {CONTENT_MAX:,} characters.",
    ),
]
Item = Annotated[
    str,
    JsonObject(
        maximum=ITEM_MAX,
        description="The message as your agent SDK has it, at most 256 KiB as compact JSON in UTF-8.",
    ),
]


class MessageIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role
    content: Content
    ref: Ref | None = None
    item: Item | None = None

    @model_validator(mode="before")
    @classmethod
    def drop_what_is_left_out(cls, message: Any) -> Any:
        """Drop what clients add, and optional fields that are null."""
        if not isinstance(message, dict):
            return message
        return {
            name: value
            for name, value in message.items()
            if name not in ADDED_BY_CLIENTS and not (name in ("ref", "item") and value is None)
        }


Turn = Annotated[
    list[MessageIn],
    Field(min_length=1, max_length=TURN_MAX, description=f"1 to {TURN_MAX} messages in order, appended all or none."),
]


class ConversationOut(Output):
    only_if_set: ClassVar = ("ref", "title", "metadata")

    id: int
    ref: str | None = None
    user_id: str
    title: str | None = None
    metadata: JsonValue = None
    created_at: datetime
    updated_at: datetime

    def message(self) -> str:
        return f"Conversation {self.id}."


class ConversationPut(Output):
    stored: ConversationOut
    is_new: bool

    def message(self) -> str:
        return f"Conversation {self.stored.id}."


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


class MessageOut(Output):
    only_if_set: ClassVar = ("ref", "item")

    id: int
    ref: str | None = None
    conversation_id: int
    user_id: str
    role: str
    content: str
    item: JsonValue = None
    created_at: datetime

    def message(self) -> str:
        return f"Message {self.id}."


class MessagePut(Output):
    stored: MessageOut
    is_new: bool

    def message(self) -> str:
        return f"Message {self.stored.id}."


class MessageDeleted(Output):
    id: int

    def message(self) -> str:
        return f"Deleted message {self.id}."


class MessageList(Output):
    messages: list[MessageOut]
    has_more: bool = Field(description="Whether there are more messages in the direction of the page.")
    next_cursor: str | None

    def message(self) -> str:
        return f"{len(self.messages)} messages."


class MessagesAppended(Output):
    messages: list[MessageOut]

    def message(self) -> str:
        return f"Appended {len(self.messages)} messages."
