"""The REST routes of conversations. Each HTTP method names its operation. All other code is shared with the tools."""

from typing import Any

from django.urls import path

from todo_mcp.core.errors import InvalidArguments, TodoError
from todo_mcp.transports.http.resources import ResourceView


class ConversationsView(ResourceView):
    operations = {"POST": ("create_conversation", 201), "GET": ("list_conversations", 200)}


class ConversationView(ResourceView):
    operations = {
        "GET": ("get_conversation", 200),
        "PUT": ("put_conversation", 200),
        "PATCH": ("update_conversation", 200),
        "DELETE": ("delete_conversation", 204),
    }


class MessagesView(ResourceView):
    """The body of a POST is one message, or a turn as a list of messages. The answer has the same form."""

    operations = {"POST": ("append_messages", 201), "GET": ("list_messages", 200)}
    in_query = ("replace", "expected_last")

    def body_arguments(self, body: Any) -> dict[str, Any]:
        if isinstance(body, list):
            return {"messages": body}
        if not isinstance(body, dict):
            raise InvalidArguments({"body": "must be a message, or a list of messages"})
        message = {name: value for name, value in body.items() if name != "user_id"}
        user = {"user_id": body["user_id"]} if "user_id" in body else {}
        return {"messages": [message], **user}

    @classmethod
    def describe_body(cls, properties: dict[str, Any], user: dict[str, Any]) -> dict[str, Any]:
        turn = properties["messages"]
        message = {**turn["items"], "properties": {**turn["items"]["properties"], "user_id": user}}
        return {"oneOf": [message, turn]}

    @classmethod
    def describe_answer(cls, data: dict[str, Any]) -> dict[str, Any]:
        message = {"$ref": "#/components/schemas/MessageOut"}
        return {"oneOf": [message, {"type": "array", "items": message}]}

    def explain(self, error: TodoError, body: Any) -> TodoError:
        if isinstance(body, list) or not isinstance(error, InvalidArguments):
            return error
        return InvalidArguments(
            {name.removeprefix("messages.0."): reason for name, reason in error.details["fields"].items()}
        )

    def answer(self, data: dict[str, Any], body: Any) -> Any:
        if self.request.method != "POST":
            return data
        return data["messages"] if isinstance(body, list) else data["messages"][0]


class MessageView(ResourceView):
    operations = {
        "GET": ("get_message", 200),
        "PUT": ("put_message", 200),
        "DELETE": ("delete_message", 204),
    }


urlpatterns = [
    path("conversations", ConversationsView.as_view()),
    path("conversations/<conversation_id>", ConversationView.as_view()),
    path("conversations/<conversation_id>/messages", MessagesView.as_view()),
    path("conversations/<conversation_id>/messages/<message_id>", MessageView.as_view()),
]
