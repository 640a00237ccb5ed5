"""Factories of rows. In the tests Alice owns the data, Bob wants it, and Charlie has none."""

from typing import Any

from factory.declarations import SelfAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory

from conversations.models import Conversation, Message
from tasks.models import Task
from todo_mcp.users.models import User


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    id = Sequence(lambda n: f"user-{n}")


class TaskFactory(DjangoModelFactory[Task]):
    class Meta:
        model = Task

    user = SubFactory(UserFactory)
    title = Sequence(lambda n: f"Task number {n}")


class ConversationFactory(DjangoModelFactory[Conversation]):
    class Meta:
        model = Conversation

    user = SubFactory(UserFactory)


class MessageFactory(DjangoModelFactory[Message]):
    class Meta:
        model = Message

    conversation = SubFactory(ConversationFactory)
    user = SelfAttribute("conversation.user")
    role: Any = Message.Role.USER
    content = Sequence(lambda n: f"Message number {n}")
