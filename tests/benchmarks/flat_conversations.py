"""The calls of conversations that `make flat` times."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from tests.benchmarks.flat_site import Call, Person, Site, value_of
from tests.benchmarks.words import RARE

TURN = [{"role": role, "content": "Remind me to call the bank on Friday."} for role in ("user", "assistant")]


def _turn_with_items() -> list[dict[str, Any]]:
    return [{**message, "ref": f"r-{uuid4()}", "item": {"type": "message", "id": n}} for n, message in enumerate(TURN)]


def _message() -> dict[str, Any]:
    return {"role": "assistant", "content": f"Part {uuid4()}", "item": {"type": "message"}}


def _title() -> dict[str, Any]:
    return {"title": f"Talk {uuid4()}", "metadata": {"model": "small"}}


def _new_conversation() -> dict[str, Any]:
    return {"ref": f"r-{uuid4()}", **_title()}


def rest(method: str, path: str, body: Callable[[], Any] | None = None, **query: Any) -> Call:
    """A call of REST. Names in braces and values that begin with $ stand for what the person has or a call saved.

    It saves ``new`` and ``new_ref`` of a conversation that it makes; ``first``, ``last``, ``first_ref`` and
    ``last_ref`` of the messages that it appends.
    """

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        query_string = "&".join(
            f"{name}={value_of(value, person, saved)}" for name, value in {**query, "user_id": "$user"}.items()
        )
        full_path = path.format(**person.names, **saved, fresh=f"r-{uuid4()}")
        content = body() if body else None
        status, answer, milliseconds = site.send(method, f"/api/conversations{full_path}?{query_string}", content)
        assert status < 300, answer
        if status == 201:
            made = json.loads(answer)
            first, last = (made[0], made[-1]) if isinstance(made, list) else (made, made)
            if "conversation_id" in first:
                saved |= {"first": first["id"], "last": last["id"]}
                saved |= {"first_ref": first.get("ref"), "last_ref": last.get("ref")}
            else:
                saved |= {"new": first["id"], "new_ref": first.get("ref")}
        return milliseconds

    return call


def _search(words: str) -> Call:
    """The admin's search in messages."""

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        query = words.format(user=person.user_id)
        path = f"/admin/conversations/conversation/?q={query}"
        status, answer, milliseconds = site.send("GET", path, Cookie=f"sessionid={site.session}")
        assert status == 200, answer
        return milliseconds

    return call


def searches() -> Iterator[tuple[str, Call]]:
    """The admin's searches for words."""
    for name, word in (("rare", RARE), ("middling", "tus"), ("common", "balin")):
        yield f"admin: {name} word", _search(word)
        yield f"admin: {name} word of user", _search(f"{word}+user:{{user}}")


def conversation_calls() -> Iterator[tuple[str, Call]]:
    """Each call by id and by ref, in an order that works. Whole conversations come first, then their messages."""
    yield "list conversations", rest("GET", "")
    # In the small database, the huge user has 25 conversations after the middle.
    yield "list conversations, deep", rest("GET", "", cursor="$conversations", limit=20)
    yield "list conversations, asc", rest("GET", "", order="asc")
    yield "list conversations, asc, deep", rest("GET", "", order="asc", cursor="$conversations_asc", limit=20)
    for by, conversation in (("", "{conversation}"), (" by ref", "{conversation_ref}")):
        yield f"read a conversation{by}", rest("GET", f"/{conversation}")
        yield f"put a conversation{by}", rest("PUT", f"/{conversation}", _title)
        yield f"patch a conversation{by}", rest("PATCH", f"/{conversation}", _title)
        yield from _appends(by, f"/{conversation}/messages")
        yield from _reads(by, f"/{conversation}/messages")
        yield from _single_messages(by, f"/{conversation}/messages")
    yield "make a conversation", rest("POST", "", dict)
    yield "append to the new one", rest("POST", "/{new}/messages", lambda: TURN)
    yield "delete the new one", rest("DELETE", "/{new}")
    yield "make a conversation, all fields", rest("POST", "", _new_conversation)
    yield "delete it by ref", rest("DELETE", "/{new_ref}")
    yield "put a new conversation", rest("PUT", "/{fresh}", _title)
    yield "delete that by ref", rest("DELETE", "/{new_ref}")


def _appends(by: str, path: str) -> Iterator[tuple[str, Call]]:
    key = "_ref" if by else ""
    yield f"append a turn{by}", rest("POST", path, lambda: TURN)
    yield f"append refs and items{by}", rest("POST", path, _turn_with_items)
    yield f"append, expected_last{by}", rest("POST", path, _turn_with_items, expected_last=f"$last{key}")
    yield f"append, replace{by}", rest("POST", path, _turn_with_items, replace=f"$first{key}")


def _reads(by: str, path: str) -> Iterator[tuple[str, Call]]:
    after = "$message_ref" if by else "$message"
    yield f"list messages{by}", rest("GET", path)
    yield f"list messages, deep{by}", rest("GET", path, cursor="$messages")
    yield f"list messages, desc{by}", rest("GET", path, order="desc")
    yield f"list messages, desc, deep{by}", rest("GET", path, order="desc", cursor="$messages_desc")
    yield f"list messages, after{by}", rest("GET", path, after=after)
    yield f"list messages, desc, after{by}", rest("GET", path, order="desc", after=after)
    yield f"last 20 messages{by}", rest("GET", path, last=20)


def _single_messages(by: str, path: str) -> Iterator[tuple[str, Call]]:
    message, last = ("{message_ref}", "{last_ref}") if by else ("{message}", "{last}")
    yield f"read a message{by}", rest("GET", f"{path}/{message}")
    yield f"put a message{by}", rest("PUT", f"{path}/{message}", _message)
    yield f"put a new message{by}", rest("PUT", f"{path}/{{fresh}}", _message)
    yield f"delete a message{by}", rest("DELETE", f"{path}/{last}")
