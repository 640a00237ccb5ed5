"""An agent with a tool, and a scripted model in place of a real one."""

from typing import Any

from agents import Agent, TResponseInputItem, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from conversations_client import Conversations

Items = list[TResponseInputItem]


def said(*texts: str) -> Items:
    return [{"role": "user", "content": text} for text in texts]


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}"


def weather_agent(*answers: str) -> Agent[None]:
    """An agent whose model calls the tool, then gives these answers, one in each run."""
    call = function_call("weather", {"city": "Paris"}, call_id="call-1")
    messages = [[assistant_message(text, item_id=f"msg_{n}")] for n, text in enumerate(answers)]
    return Agent(name="Assistant", model=ScriptedModel([[call], *messages]), tools=[weather])


def calls_of(agent: Agent[None]) -> list[Any]:
    """What the model was given, call by call."""
    assert isinstance(agent.model, ScriptedModel)
    agent.model.assert_complete()
    return [call.input for call in agent.model.calls]


async def contents(conversations: Conversations, user: str, ref: str) -> list[tuple[str, str]]:
    """Role and content of each message, as every program reads them."""
    page = await conversations.call("GET", user, ref, "messages", limit=100)
    return [(message["role"], message["content"]) for message in page["messages"]]
