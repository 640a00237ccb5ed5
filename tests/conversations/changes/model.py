"""The contract of one user's conversations in plain Python. It does not use Django, SQL or HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

Key = int | str  # an id or a ref
Row = Mapping[str, Any]  # a message or a conversation, as callers have it


@dataclass(frozen=True)
class Call:
    """One request. ``operation`` is a method of the model; ``sent`` has the messages, or the conversation."""

    operation: str
    conversation: Key
    message: Key | None = None
    sent: tuple[Row, ...] = ()
    query: Row = field(default_factory=dict)
    idempotency_key: str | None = None


class Unexplained(Exception):
    """A server in this state does not answer so."""


class Refused(Exception):
    def __init__(self, status: int, error: str, **details: Any) -> None:
        self.status = status
        self.data = {"error_code": status, "error": error, **details}


class Answer(NamedTuple):
    status: int
    body: Any

    def of(self, *statuses: int) -> Any:
        """The body, if this is the answer's status."""
        if self.status not in statuses:
            raise Unexplained
        return self.body


@dataclass(frozen=True)
class Chat:
    """A conversation. ``is_changed`` says whether its messages changed since the last comparison."""

    ref: str
    title: str | None
    messages: tuple[Row, ...] = ()
    is_changed: bool = False


class Stored(NamedTuple):
    """A conversation in the database."""

    ref: str
    title: str | None
    messages: tuple[Row, ...]
    updated_at: datetime


@dataclass
class Model:
    user_id: str
    chats: dict[int, Chat] = field(default_factory=dict)
    keys: dict[str, tuple[Call, Answer]] = field(default_factory=dict)  # idempotency key → its first call
    used: set[int] = field(default_factory=set)  # the id of each message that ever was
    used_by_chats: set[int] = field(default_factory=set)

    def copy(self) -> "Model":
        """This state, with no conversation changed since the last comparison."""
        chats = {chat_id: replace(chat, is_changed=False) for chat_id, chat in self.chats.items()}
        return Model(self.user_id, chats, dict(self.keys), set(self.used), set(self.used_by_chats))

    def explains(self, call: Call, answer: Answer) -> bool:
        """Whether a server in this state answers so. If it does, the state becomes that after the call."""
        try:
            getattr(self, call.operation)(call, answer)
        except Refused as refused:
            return answer.status == refused.status and answer.body["data"] == refused.data
        except Unexplained:
            return False
        return True

    def has(self, stored: Mapping[int, Stored], before: Mapping[int, Stored]) -> bool:
        """Whether the database holds this. ``before`` is what it held at the last comparison."""
        if stored.keys() != self.chats.keys():
            return False
        for chat_id, chat in self.chats.items():
            is_changed = chat_id in before and stored[chat_id].updated_at > before[chat_id].updated_at
            if (chat.ref, chat.title, chat.messages) != stored[chat_id][:3]:
                return False
            if chat_id in before and is_changed is not chat.is_changed:
                return False
        return True

    def find(self, key: Key) -> int | None:
        """The id of a conversation."""
        return next((chat_id for chat_id, chat in self.chats.items() if key in (chat_id, chat.ref)), None)

    def put_conversation(self, call: Call, answer: Answer) -> None:
        chat_id, [sent] = self.find(call.conversation), call.sent
        if chat_id is None and isinstance(call.conversation, int):
            raise Refused(404, "conversation_not_found")
        if chat_id is None:
            chat_id = answer.of(201)["id"]
            _require(chat_id not in self.used_by_chats)
            self.used_by_chats.add(chat_id)
            self.chats[chat_id] = Chat(str(call.conversation), sent.get("title"))
        else:
            self.chats[chat_id] = replace(self.chats[chat_id], title=sent.get("title"))
        shown = {"id": chat_id, "ref": self.chats[chat_id].ref, "user_id": self.user_id, **sent}
        _require({name: answer.of(200, 201)[name] for name in (*shown, "updated_at")}.items() >= shown.items())

    def delete_conversation(self, call: Call, answer: Answer) -> None:
        del self.chats[self._existing(call)]
        answer.of(204)

    def append_messages(self, call: Call, answer: Answer) -> None:
        if call.idempotency_key in self.keys:
            return self._repeat(*self.keys[call.idempotency_key], call, answer)
        chat_id = self._existing(call)
        messages = self.chats[chat_id].messages
        last = messages[-1] if messages else {"id": 0}
        if "expected_last" in call.query and not _is(last, call.query["expected_last"]):
            raise Refused(409, "version_conflict", last_message_id=last["id"])
        if "replace" in call.query:
            messages = messages[: self._place(chat_id, call.query["replace"])]
        refs = [message["ref"] for message in (*messages, *call.sent) if "ref" in message]
        if len(set(refs)) < len(refs):
            return _check_conflict(call, answer)
        self._add(chat_id, messages, call.sent, answer.of(201))
        if call.idempotency_key:
            self.keys[call.idempotency_key] = (call, answer)

    def put_message(self, call: Call, answer: Answer) -> None:
        chat_id, [sent] = self._existing(call), call.sent
        messages = self.chats[chat_id].messages
        for place, old in enumerate(messages):
            if _is(old, call.message):
                kept = {name: value for name, value in old.items() if name not in ("role", "content", "item")}
                _require(answer.of(200) == {**kept, **sent})
                if answer.body != old:
                    self._change(chat_id, (*messages[:place], answer.body, *messages[place + 1 :]))
                return
        if isinstance(call.message, int):
            raise Refused(404, "message_not_found")
        self._add(chat_id, messages, [{**sent, "ref": call.message}], [answer.of(201)])

    def delete_message(self, call: Call, answer: Answer) -> None:
        chat_id = self._existing(call)
        place, messages = self._place(chat_id, call.message), self.chats[chat_id].messages
        self._change(chat_id, messages[:place] + messages[place + 1 :])
        answer.of(204)

    def get_message(self, call: Call, answer: Answer) -> None:
        chat_id = self._existing(call)
        _require(self.chats[chat_id].messages[self._place(chat_id, call.message)] == answer.of(200))

    def list_messages(self, call: Call, answer: Answer) -> None:
        chat_id, query = self._existing(call), call.query
        rows, size = self.chats[chat_id].messages, query.get("last") or query["limit"]
        if query.get("order") == "desc" or "last" in query:
            rows = rows[::-1]
        if "after" in query:
            place = self._place(chat_id, query["after"])
            rows = rows[len(rows) - place if query.get("order") == "desc" else place + 1 :]
        page = rows[:size][:: -1 if "last" in query else 1]
        _require((tuple(answer.of(200)["messages"]), answer.body["has_more"]) == (page, len(rows) > size))

    def _repeat(self, first_call: Call, first: Answer, call: Call, answer: Answer) -> None:
        if call != first_call:
            raise Refused(409, "idempotency_conflict")
        if first.body[0]["conversation_id"] not in self.chats:
            raise Refused(404, "conversation_not_found")
        _require(answer == first)

    def _existing(self, call: Call) -> int:
        chat_id = self.find(call.conversation)
        if chat_id is None:
            raise Refused(404, "conversation_not_found")
        return chat_id

    def _place(self, chat_id: int, key: Key | None) -> int:
        for place, row in enumerate(self.chats[chat_id].messages):
            if _is(row, key):
                return place
        raise Refused(404, "message_not_found")

    def _add(self, chat_id: int, earlier: tuple[Row, ...], sent: Sequence[Row], rows: Sequence[Row]) -> None:
        """Add what was sent after the earlier messages. No id was used before, and no time is before theirs."""
        ids = [row["id"] for row in rows]
        _require(ids == sorted(set(ids) - self.used))
        made = {"conversation_id": chat_id, "user_id": self.user_id, "created_at": rows[0]["created_at"]}
        _require(list(rows) == [{**row, **made, "id": one} for row, one in zip(sent, ids, strict=True)])
        before = self.chats[chat_id].messages[-1:]
        _require(all(row["id"] < ids[0] and row["created_at"] <= made["created_at"] for row in before))
        self.used.update(ids)
        self._change(chat_id, (*earlier, *rows))

    def _change(self, chat_id: int, messages: tuple[Row, ...]) -> None:
        self.chats[chat_id] = replace(self.chats[chat_id], messages=messages, is_changed=True)


def _require(condition: bool) -> None:
    if not condition:
        raise Unexplained


def _is(row: Row, key: Key | None) -> bool:
    return key in (row["id"], row.get("ref", row["id"]))


def _check_conflict(call: Call, answer: Answer) -> None:
    """A call at the same time may remove the ref before the server looks which one it was, so each of them will do."""
    refused = answer.of(409)["data"]
    _require(refused["error"] == "ref_conflict" and refused["ref"] in [row.get("ref") for row in call.sent])
