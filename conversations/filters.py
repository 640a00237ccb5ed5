"""Filters of the admin's list of conversations. Together with words, they narrow the messages that a search finds."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from conversations.models import Conversation, Message
from conversations.search import Days, search_words
from todo_mcp.admin_kit.filters import DaysFilter, start_of_day

DAYS = {"updated_at": "last activity", "created_at": "started"}  # the time fields of a conversation
WITH_WORDS = "day of the message"


def searched_words(request: HttpRequest) -> list[str]:
    """The words that the page searches for."""
    return search_words(request.GET.get(SEARCH_VAR, ""))


def days_of_messages(request: HttpRequest) -> Days:
    """The days in the address, as days of messages."""
    first, last = ([start_of_day(request.GET.get(f"{name}_{end}", "")) for name in DAYS] for end in ("from", "to"))
    return Days(
        since=max((day for day in first if day), default=None),
        until=min((day + timedelta(days=1) for day in last if day), default=None),
    )


class RoleFilter(admin.SimpleListFilter):
    """The author of the message that a search finds. Without words, the author of the last message."""

    title = "said by"
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in Message.Role.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> QuerySet[Conversation]:
        if not self.value() or searched_words(request):
            return queryset
        last = Message.objects.filter(conversation=OuterRef("pk")).order_by("-pk").values("role")[:1]
        return queryset.alias(last_role=Subquery(last)).filter(last_role=self.value())


class ConversationDays(DaysFilter):
    """By a day of the conversation; together with words, by the day of the message."""

    def __init__(self, field: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, request, *args, **kwargs)
        self.has_words = bool(searched_words(request))
        self.title = WITH_WORDS if self.has_words else f"{DAYS[self.field_path]}; with words: {WITH_WORDS}"

    def has_output(self) -> bool:
        """With words, one filter by days is enough, unless the address has the other one."""
        return not self.has_words or self.field_path == next(iter(DAYS)) or bool(self.used_parameters)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> QuerySet[Conversation]:
        return queryset if self.has_words else super().queryset(request, queryset)
