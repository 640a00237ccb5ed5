"""Arguments of list_tasks, with the texts that language models read."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tasks.models import TAG_MAX
from tasks.schemas import PHRASE_MAX, PriorityName, check_tag
from todo_mcp.core.arguments import Id, Integer, Text

QUERY_MAX = 200  # characters
CURSOR_MAX = 200  # characters

StatusName = Literal["all", "pending", "completed", "deleted"]
SortName = Literal["newest", "due", "priority", "updated"]
DetailName = Literal["full", "short", "counts"]

Status = Annotated[StatusName, Field(description="Default: pending with due, completed with completed_on, else all.")]
DueDays = Annotated[
    str,
    Text(
        maximum=PHRASE_MAX,
        in_schema=False,
        description="Filter: today, ..today (late too), next week, 2026-11-01..2026-11-30, overdue, none, any.",
    ),
]
Query = Annotated[
    str,
    Text(
        maximum=QUERY_MAX,
        description='1 to 3 words that all occur; a beginning is enough. "a phrase", -without.',
    ),
]
Tag = Annotated[
    str,
    Text(maximum=TAG_MAX, trim=True, visible=True, in_schema=False, description="One tag."),
    AfterValidator(check_tag),
]
Priority = PriorityName
CompletedDays = Annotated[
    str, Text(maximum=PHRASE_MAX, in_schema=False, description="Done on a day or in a range: yesterday, last week.")
]
CreatedDays = Annotated[str, Text(maximum=PHRASE_MAX, in_schema=False, description="Added on a day or in a range.")]
Detail = Annotated[
    DetailName, Field(description="short saves much room. counts: numbers and tags, no tasks. Default full.")
]
Sort = Annotated[SortName, Field(description="due: earliest first, without a day last. Default newest.")]
Limit = Annotated[int, Integer(minimum=1, maximum=100, description="1 to 100. Default 50.")]
Cursor = Annotated[
    str, Text(maximum=CURSOR_MAX, in_schema=False, description="next_cursor of the page before, all else the same.")
]
OnlyTaskId = Annotated[int, Id(description="Only this task.")]
