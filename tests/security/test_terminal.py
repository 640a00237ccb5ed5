"""Stored text may come from anybody and may be older than a check. So no command prints it to a terminal unescaped."""

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

# Every control character that PostgreSQL can store, direction marks and line ends. Then text that must stay unchanged.
NASTY = "".join(chr(code) for code in (*range(1, 0x20), *range(0x7F, 0xA0)))
NASTY += (
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    + 'é 日本 👩\u200d🚀 \\u009b "'
)


def unsafe(text: str) -> set[str]:
    """The characters that control a terminal or change the text's direction. Newlines and tabs are only layout."""
    direction = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return {
        char
        for char in text
        if char not in "\n\t"
        and (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(char) in direction)
    }


@pytest.fixture
def nasty_user() -> User:
    """A user whose texts are all nasty. They are stored past all checks."""
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


def test_the_nasty_text_is_stored_unchanged(nasty_user: User) -> None:
    assert Task.objects.get().title == f"x{NASTY}" and Message.objects.get().content == NASTY
    assert unsafe(NASTY) >= {"\x1b", "\x7f", "\x9b", "\u202e", "\u2028"}


def test_a_call_prints_equal_json_with_escapes(nasty_user: User) -> None:
    output = run("call", "list_tasks", "--user", nasty_user.pk)
    assert not unsafe(output) and output.count("\n") == 1
    assert json.loads(output)["data"]["tasks"][0]["title"] == f"x{NASTY}"
    assert "\\u009b" in output and "日本" in output


def test_an_export_is_equal_json_with_escapes(nasty_user: User) -> None:
    output = run("export_user", nasty_user.pk)
    assert not unsafe(output)
    assert json.loads(output) == json.loads(json.dumps(export_user(user_id=nasty_user.pk), cls=DjangoJSONEncoder))


def test_tokens_are_listed_one_per_line_in_six_columns(nasty_user: User) -> None:
    output = run("list_tokens")
    assert not unsafe(output)
    assert [len(line.split("\t")) for line in output.splitlines()] == [6, 6]  # the header and the token


def test_the_id_of_an_erased_user_is_printed_escaped(nasty_user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or nasty_user.pk)  # type: ignore[func-returns-value]
    output = run("delete_user", nasty_user.pk)
    assert not unsafe(output + questions[0]) and "\n" not in output.strip()
    assert not User.objects.exists()


@pytest.mark.parametrize("command", ["create_user", "issue_token --user", "issue_token --scopes", "export_user"])
def test_an_error_is_one_escaped_line(nasty_user: User, command: str) -> None:
    name, *option = command.split()
    more = ["--user", nasty_user.pk] if option == ["--scopes"] else []
    with pytest.raises(CommandError) as error:
        call_command(name, *more, *option, "b\x9b\x1b[2J\n\u202e")
    assert not unsafe(str(error.value)) and "\n" not in str(error.value)


def test_make_run_prints_the_id_of_its_user_escaped(nasty_user: User) -> None:
    output = make_run.instructions(make_run.Access(nasty_user.pk, "token", password=None))
    assert not unsafe(output)


def test_harmless_text_stays_unchanged() -> None:
    text = "é 日本 👩\u200d🚀 \u00ad\u00a0\ufeff{}"
    assert escaped(text) == text
    assert escaped("a\nb\tc", layout="\n") == "a\nb\\u0009c"
    assert escaped("\ud800") == "\\ud800"
