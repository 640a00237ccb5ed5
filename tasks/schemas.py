"""Arguments of the task operations, with the texts that language models read."""

import re
import unicodedata
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tasks.models import CHECKLIST_MAX, DESCRIPTION_MAX, ITEM_MAX, REPEAT_MAX, TAG_MAX, TAGS_MAX
from todo_mcp.core.arguments import MAX_EXACT_FLOAT, Id, Text, TitleText, is_empty, refuse

BATCH_MAX = 50  # tasks that one call adds, or changes in different ways
IDS_MAX = 100  # tasks that one call completes, deletes or changes alike
MATCH_MAX = 200  # characters
PHRASE_MAX = 5_000  # characters of words for a day; a refusal of more than 100 names the clock
_NOT_IN_TAG = re.compile(r"[^\w -]")


def check_tag(tag: str) -> str:
    """The tag with single spaces. Refuses other characters than those of tags."""
    tag = unicodedata.normalize("NFC", tag)
    for char in _NOT_IN_TAG.findall(tag):
        if not unicodedata.category(char).startswith("M"):  # vowel signs and accents are parts of letters
            raise refuse("must be letters, digits, -, _ or spaces; leave out {char}", char=ascii(char)[1:-1])
    return " ".join(tag.split())


def _as_true(value: object) -> object:
    """A flag: true or false, or these words, which some models send."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise refuse("must be true; or leave it out")


def _as_text(value: object) -> object:
    """The number of an item may be an integer, also written as 2.0, or text."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT_FLOAT:
        value = int(value)
    return str(value) if type(value) is int else value


def _line(maximum: int, text: str = "", **options: bool) -> Text:
    return Text(minimum=1, maximum=maximum, trim=True, in_schema=False, description=text, **options)


def _at_most(length: int) -> Any:
    """The maximum of a list. The texts say it to models, so the schema need not."""

    def leave_out(schema: dict[str, Any]) -> None:
        schema.pop("maxItems", None)

    return Field(max_length=length, json_schema_extra=leave_out)


_Tag = Annotated[str, _line(TAG_MAX, visible=True), AfterValidator(check_tag)]
_Item = Annotated[str, _line(ITEM_MAX, lines=True, visible=True)]
_ItemChoice = Annotated[str, _line(ITEM_MAX), BeforeValidator(_as_text)]
_Tags = Annotated[list[_Tag], _at_most(TAGS_MAX)]
_Items = Annotated[list[_Item], _at_most(CHECKLIST_MAX)]
_Choices = Annotated[list[_ItemChoice], _at_most(CHECKLIST_MAX)]
_Phrase = Annotated[str, _line(PHRASE_MAX)]
_Description = Text(maximum=DESCRIPTION_MAX, lines=True, in_schema=False)

PriorityName = Literal["none", "low", "medium", "high"]
ClearedField = Literal["description", "due", "time", "priority", "tags", "repeat", "checklist"]
CLEARED_FIELDS: tuple[str, ...] = get_args(ClearedField)

Title = Annotated[
    str, TitleText(description="What to do, short, in the person's language. Required unless you send tasks.")
]
NewTitle = Annotated[str, TitleText()]
Due = Annotated[
    str, _line(PHRASE_MAX, "A day or moment: tomorrow, friday 3pm, in 2 hours, 2026-11-27T09:00. English or ISO.")
]
NewDue = Annotated[
    str, _line(PHRASE_MAX, "As in add_task; or +3 days, -1 week, +1 hour from its own; or skip, the next date.")
]
Repeat = Annotated[str, _line(REPEAT_MAX, "every monday at 8am, every 2 weeks, 3 days after completion, or an RRULE.")]
NewRepeat = Annotated[str, _line(REPEAT_MAX, "New rule, as in add_task. Ends with clear.")]
Priority = Annotated[PriorityName, Field(description="Default none.")]
NewPriority = PriorityName
Tags = Annotated[_Tags, Field(description="Up to 10 labels or list names.")]
NewTags = Annotated[_Tags, Field(description="Replaces all tags.")]
SomeTags = _Tags
Checklist = Annotated[_Items, Field(description="Up to 50 steps or things, as texts.")]
NewChecklist = Annotated[_Items, Field(description="Replaces all items; equal texts keep their mark.")]
NewItems = Annotated[_Items, Field(description="Things for the checklist; one that is there is not added again.")]
RemovedItems = Annotated[_Choices, Field(description="Items by number or words.")]
CheckedItems = Annotated[_Choices, Field(description="Items now done, by words or number from 1; * is all.")]
UncheckedItems = Annotated[_Choices, Field(description="Items open again.")]
Description = Annotated[str, Text(maximum=DESCRIPTION_MAX, lines=True, description="Details; no dates.")]
NewDescription = Annotated[
    str, Text(maximum=DESCRIPTION_MAX, lines=True, description="Replaces all of it; append only adds.")
]
Append = Annotated[
    str,
    Text(
        minimum=1,
        maximum=DESCRIPTION_MAX,
        lines=True,
        in_schema=False,
        description="A new line under the description; the rest stays.",
    ),
]
Clear = Annotated[list[ClearedField], Field(description="Fields to empty.")]
Match = Annotated[
    str,
    Text(
        minimum=1,
        maximum=MATCH_MAX,
        trim=True,
        description="Telling words of the title, such as bank card. One open task must fit.",
    ),
]
TaskId = Annotated[
    int, Id(description="From an earlier answer; never guess it. Send exactly one of match, task_id, task_ids.")
]
TaskIds = Annotated[list[Annotated[int, Id()]], Field(max_length=IDS_MAX, description="1 to 100 ids.")]
ExpectedVersion = Annotated[
    int,
    Id(
        maximum=2**31 - 1,
        description="The version you read: refused if it has changed since. One task only.",
    ),
]
Reopen = Annotated[bool, BeforeValidator(_as_true), Field(description="true: open a completed task again.")]
Restore = Annotated[bool, BeforeValidator(_as_true), Field(description="true: bring it back from the trash.")]
Undo = Annotated[
    str,
    _line(64, "The undo of an earlier answer, alone or with the task_ids to take back. Newest first."),
]
TimeZone = Annotated[str, _line(100, "Such as Europe/Berlin, only if the person or app told you.")]
NewTimeZone = Annotated[str, _line(100, "As in add_task; alone, it becomes the person's zone.")]
IdempotencyKey = Annotated[
    str,
    Text(
        minimum=8,
        maximum=64,
        in_schema=False,
        description="Your own 8 to 64 characters. A retry with the same key adds nothing.",
    ),
]
UpdateKey = Annotated[
    str,
    Text(
        minimum=8,
        maximum=64,
        in_schema=False,
        description="As in add_task; for append and +1 day, which a retry would do twice.",
    ),
]
ConversationId = Annotated[int, Id(description="Set by the chat backend.")]
MessageId = Annotated[int, Id(description="Set by the chat backend.")]


class _Part(BaseModel):
    """One of several tasks in a call. An empty value means that a field is left out, as beside it."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        required = {name for name, argument in cls.model_fields.items() if argument.is_required()}
        return {name: inner for name, inner in value.items() if name in required or not is_empty(inner)}

    def sent(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}


class NewTask(_Part):
    title: NewTitle
    due: _Phrase = ""
    repeat: Annotated[str, _line(REPEAT_MAX)] = ""
    priority: PriorityName = "none"
    tags: _Tags = []
    checklist: _Items = []
    description: Annotated[str, _Description] = ""


class TaskChange(_Part):
    task_id: Annotated[int, Id()]
    due: _Phrase = ""
    title: NewTitle = ""
    priority: PriorityName = "none"
    add_tags: _Tags = []


NewTasks = Annotated[
    list[NewTask], Field(max_length=BATCH_MAX, description="1 to 50 tasks, all or none. Fields as beside it.")
]
TaskChanges = Annotated[
    list[TaskChange],
    Field(max_length=BATCH_MAX, description="In place of all above: 1 to 50 different changes, all or none."),
]
