"""No sentence of the documents, comments and docstrings is longer than 25 words.

What a machine can count is held here; CONTRIBUTING.md has the rest of the rules for plain English.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.support.server_process import ROOT

WORDS_MAX = 25
FOLDERS = ("todo_mcp", "tasks", "conversations", "scripts", "docs", "tests")
# A sentence ends at . ! ? and at a semicolon or colon, which both join two thoughts. An item "x (…)," ends one too.
_END = re.compile(r"(?<=[.!?;:])(?:\)|\"|'|\*\*)?\s+|(?<=\)),\s+")
_CODE = re.compile(r"``[^`]+``|`[^`]+`")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_GENERATED = r"<!-- tools -->.*?<!-- /tools -->"  # a table of names
_ITEM = re.compile(r"\s*(?:[-*]|\d+\.|#+|[\w, ]+:)\s")


def sentences(text: str) -> Iterator[str]:
    """The sentences of a paragraph; code counts as one word."""
    plain = _LINK.sub(r"\1", _CODE.sub("X", text)).replace("e.g.", "eg").replace("i.e.", "ie")
    yield from _END.split(" ".join(plain.split()))


def paragraphs(lines: list[str]) -> Iterator[str]:
    """Blocks of lines: an empty line and an item of a list begin a new one."""
    block: list[str] = []
    for line in [*lines, ""]:
        if block and (not line.strip() or _ITEM.match(line)):
            yield "\n".join(block)
            block = []
        if line.strip():
            block.append(line)


def is_drawing(text: str) -> bool:
    return "──" in text


def of_markdown(path: Path) -> Iterator[str]:
    text = re.sub(_GENERATED + r"|<!--.*?-->|```.*?```", "", path.read_text(), flags=re.DOTALL)
    lines = text.splitlines()
    for row in (line for line in lines if line.startswith("|")):
        yield from row.strip("|").split("|")
    yield from paragraphs([line for line in lines if not line.startswith("|")])


def of_python(path: Path) -> Iterator[str]:
    """Comments and docstrings, without those of operations: language models read them, and others hold their length."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            is_operation = any("operation" in ast.dump(one) for one in getattr(node, "decorator_list", []))
            if not is_operation:
                blocks = paragraphs((ast.get_docstring(node) or "").splitlines())
                yield from (block for block in blocks if not is_drawing(block))
    previous, block = 0, ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = re.sub(r"^#\s*(?:(?:noqa|type):[^(#]*[(#]?)?", "", token.string)
            is_whole_line = token.line.lstrip().startswith("#")
            if token.start[0] != previous + 1 or not is_whole_line:
                yield block
                block = ""
            block += f" {text}"
            previous = token.start[0] if is_whole_line else 0
    yield block


def files() -> list[Path]:
    inside = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in (".md", ".py")]
    pages = [*ROOT.glob("*.md"), *(path for path in inside if not {"node_modules", "migrations"} & set(path.parts))]
    return sorted(pages)


def long_sentences(path: Path) -> list[str]:
    blocks = of_markdown(path) if path.suffix == ".md" else of_python(path)
    return [one for block in blocks for one in sentences(block) if len(re.findall(r"\S*\w\S*", one)) > WORDS_MAX]


def test_a_long_sentence_is_found_in_prose_a_table_a_comment_and_a_docstring(tmp_path: Path) -> None:
    long = " ".join(["word"] * (WORDS_MAX + 1))
    page, module = tmp_path / "page.md", tmp_path / "module.py"
    page.write_text(f"Short.\n\n{long}\n\n| a | {long} |\n")
    module.write_text(f'"""{long}"""\n\n# {long}\nvalue = 1  # noqa: E501 ({long})\n')

    assert [len(long_sentences(path)) for path in (page, module)] == [2, 3]


def test_no_sentence_is_longer_than_25_words() -> None:
    assert {path: long for path in files() if (long := long_sentences(path))} == {}
