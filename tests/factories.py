"""The cast: Alice owns what a test is about, Bob wants it, Charlie has nothing."""

from typing import Any

import factory

from conversations.models import Conversation, Message
from tasks.models import Task
from todo_mcp.users.models import User


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    id = factory.Sequence(lambda n: f"user-{n}")


class TaskFactory(factory.django.DjangoModelFactory[Task]):
    class Meta:
        model = Task

    user = factory.SubFactory(UserFactory)
    title = factory.Sequence(lambda n: f"Task number {n}")


class ConversationFactory(factory.django.DjangoModelFactory[Conversation]):
    class Meta:
        model = Conversation

    user = factory.SubFactory(UserFactory)


class MessageFactory(factory.django.DjangoModelFactory[Message]):
    class Meta:
        model = Message

    conversation = factory.SubFactory(ConversationFactory)
    user = factory.SelfAttribute("conversation.user")
    role: Any = Message.Role.USER
    content = factory.Sequence(lambda n: f"Message number {n}")
