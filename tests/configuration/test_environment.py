"""Values as people, files and tools write them; each error names the variable and gives an example."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from todo_mcp.configuration import environment

NAME, OTHER = "TODO_TEST_VALUE", "TODO_TEST_OTHER"


@pytest.fixture
def value_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    def value_of(value: str) -> str:
        monkeypatch.setenv(NAME, value)
        return environment.text(NAME, "default")

    return value_of


@pytest.fixture
def env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path of a .env. What it sets is removed after the test."""
    for name in (NAME, OTHER):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores it
        monkeypatch.delenv(name)
    return tmp_path / ".env"


@pytest.mark.parametrize(
    "written", ["word", " word ", "word\r", "word\n", "\tword\r\n", '"word"', "'word'", " 'word' \r", "\"'word'\"",
                "“word”", "\ufeffword", "\u200bword\u200b", "\u00a0word"],
)  # fmt: skip
def test_blanks_quotes_and_line_ends_around_a_value_are_dropped(value_of: Callable[[str], str], written: str) -> None:
    assert value_of(written) == "word"


@pytest.mark.parametrize("written", ["", " ", "\r\n", '""', "''", ' " " '])
def test_an_empty_value_counts_as_unset(value_of: Callable[[str], str], written: str) -> None:
    assert value_of(written) == "default"


@pytest.mark.parametrize("written", ["it's", '"a" <b>', "a 'b'", '"', "a b"])
def test_quotes_and_blanks_within_a_value_stay(value_of: Callable[[str], str], written: str) -> None:
    assert value_of(written) == written


@pytest.mark.parametrize("written", ["a\rb", "a\nb", "a\x1b[2Jb", "a\x7fb", "a\x85b", "a\udcffb"])
def test_a_control_character_within_a_value_is_refused(value_of: Callable[[str], str], written: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        value_of(written)
    assert str(refused.value).startswith(f"{NAME} ") and str(refused.value).isprintable()


@pytest.mark.parametrize(
    "written", ["a,b", " a , b ", "a,,b,", ",a b", "a\tb\r", "a\nb", "a,b,a", '"a", "b"', "'a','b'", "a, b\r\n"]
)
def test_a_list_drops_blanks_quotes_and_empty_items(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv(NAME, written)
    assert environment.items(NAME) == ["a", "b"]


@pytest.mark.parametrize("written", ["", " ", ",", " , ,, "])
def test_a_list_of_nothing_is_empty(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv(NAME, written)
    assert environment.items(NAME) == []


@pytest.mark.parametrize(
    "text",
    [
        "TODO_TEST_VALUE=word\r\nTODO_TEST_OTHER=x\r\n",
        "TODO_TEST_VALUE=word",
        "\ufeffTODO_TEST_VALUE=word\n",
        "\r\n\r\n# a comment\r\nexport TODO_TEST_VALUE=word\r\n",
        "TODO_TEST_VALUE = word # a comment\n",
        "TODO_TEST_VALUE='word'\n",
        'TODO_TEST_VALUE="word"\r\n',
        "TODO_TEST_OTHER\nTODO_TEST_VALUE=word\n",
    ],
)
def test_a_file_may_have_any_line_ends_comments_quotes_and_exports(env_file: Path, text: str) -> None:
    env_file.write_bytes(text.encode())
    environment.read_file(env_file)
    assert environment.text(NAME) == "word"


def test_the_environment_takes_precedence_over_the_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "")
    env_file.write_text(f"{NAME}=word\n{OTHER}=p#q$r\n")
    environment.read_file(env_file)
    assert (environment.text(NAME), environment.text(OTHER)) == ("", "p#q$r")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"TODO_TEST_VALUE=w\xf6rd\n", "not UTF-8"),
        ("TODO_TEST_VALUE=word\n".encode("utf-16"), "not UTF-8"),
        (b"TODO_TEST_OTHER=x\r\nTODO_TEST_VALUE: word\r\n", "line 2"),
        (b"TODO_TEST_OTHER=x\n\n\nTODO_TEST_VALUE='word\n", "line 4"),
        (b"=word\n", "line 1"),
        (b"TODO_TEST_VALUE=a\0b\n", "line 1"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_line(env_file: Path, content: bytes, words: str) -> None:
    env_file.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=words) as refused:
        environment.read_file(env_file)
    assert str(env_file) in str(refused.value) and "word" not in str(refused.value)


def test_a_directory_in_place_of_the_file_is_refused(env_file: Path) -> None:
    environment.read_file(env_file)  # there is none yet
    env_file.mkdir()
    with pytest.raises(ImproperlyConfigured, match="cannot be read"):
        environment.read_file(env_file)
