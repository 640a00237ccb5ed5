"""What is stored may have been written by anybody, before any check: no command sends it to a terminal as it is."""

import io
import json
import unicodedata

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from oauth2_provider.models import Application

from conversations.models import Message
from tasks.models import Task
from tests.support.factories import MessageFactory, TaskFactory
from todo_mcp.auth.tokens import issue_token
from todo_mcp.operators.user_data import export_user
from todo_mcp.process import make_run
from todo_mcp.process.commands import escaped
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db

# Every control that PostgreSQL can store, what sets a direction, what ends a line; then what must stay as it is.
NASTY = "".join(chr(code) for code in (*range(1, 0x20), *range(0x7F, 0xA0)))
NASTY += (
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    + 'é 日本 👩\u200d🚀 \\u009b "'
)


def unsafe(text: str) -> set[str]:
    """What is in the text that a terminal acts on, or that turns it around; newlines and tabs lay it out."""
    direction = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return {
        char
        for char in text
        if char not in "\n\t"
        and (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(char) in direction)
    }


@pytest.fixture
def nasty() -> User:
    """A user every one of whose texts is nasty, written past all checks."""
    user = User.objects.create(pk=f"a{NASTY}", name=NASTY, email=NASTY[:100])
    TaskFactory.create(user=user, title=f"x{NASTY}", description=NASTY)
    MessageFactory.create(conversation__user=user, content=NASTY)
    issue_token(user_id=user.pk)
    Application.objects.update(name=NASTY)
    return user


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_rows_are_as_nasty_as_can_be(nasty: User) -> None:
    assert Task.objects.get().title == f"x{NASTY}" and Message.objects.get().content == NASTY
    assert unsafe(NASTY) >= {"\x1b", "\x7f", "\x9b", "\u202e", "\u2028"}


def test_a_call_prints_the_same_json_escaped(nasty: User) -> None:
    printed = run("call", "list_tasks", "--user", nasty.pk)
    assert not unsafe(printed) and printed.count("\n") == 1
    assert json.loads(printed)["data"]["tasks"][0]["title"] == f"x{NASTY}"
    assert "\\u009b" in printed and "日本" in printed


def test_an_export_is_the_same_json_escaped(nasty: User) -> None:
    printed = run("export_user", nasty.pk)
    assert not unsafe(printed)
    assert json.loads(printed) == json.loads(json.dumps(export_user(user_id=nasty.pk), cls=DjangoJSONEncoder))


def test_tokens_are_listed_one_a_line_in_six_columns(nasty: User) -> None:
    printed = run("list_tokens")
    assert not unsafe(printed)
    (line,) = printed.splitlines()
    assert len(line.split("\t")) == 6


def test_an_erased_user_is_named_without_harm(nasty: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or nasty.pk)  # type: ignore[func-returns-value]
    printed = run("delete_user", nasty.pk)
    assert not unsafe(printed + asked[0]) and "\n" not in printed.strip()
    assert not User.objects.exists()


@pytest.mark.parametrize("command", ["create_user", "issue_token --user", "issue_token --scopes", "export_user"])
def test_an_error_is_one_line_without_harm(nasty: User, command: str) -> None:
    name, *option = command.split()
    more = ["--user", nasty.pk] if option == ["--scopes"] else []
    with pytest.raises(CommandError) as refused:
        call_command(name, *more, *option, "b\x9b\x1b[2J\n\u202e")
    assert not unsafe(str(refused.value)) and "\n" not in str(refused.value)


def test_what_make_run_prints_names_its_user_without_harm(nasty: User) -> None:
    printed = make_run.instructions(make_run.Access(nasty.pk, "token", password=None))
    assert not unsafe(printed)


def test_text_that_is_no_harm_stays_as_it_is() -> None:
    text = "é 日本 👩\u200d🚀 \u00ad\u00a0\ufeff{}"
    assert escaped(text) == text
    assert escaped("a\nb\tc", layout="\n") == "a\nb\\u0009c"
    assert escaped("\ud800") == "\\ud800"
