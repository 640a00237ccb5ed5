"""The documents match the code: outdated tables, commands and links fail here."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class

from todo_mcp.core.operations import REGISTRY
from todo_mcp.management.commands.write_docs import with_tools

ROOT = Path(settings.BASE_DIR)
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_table_of_tools_matches_the_declarations() -> None:
    assert with_tools(README) == README, "run manage.py write_docs"


def test_every_operation_accepts_its_example() -> None:
    for operation in REGISTRY.values():
        assert operation.validate(operation.example)


def test_the_documents_name_the_settings_that_are_read() -> None:
    source = (ROOT / "todo_mcp/settings.py").read_text()
    names = set(re.findall(r'(?:env|addresses|mail|origins)\.(?!check_)\w+\(\s*"([A-Z_]+)"', source))
    table = README.split("## Settings")[1].split("## ")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE)) == names
    examples = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert set(examples) >= names and len(examples) == len(set(examples))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_exists_and_has_help(document: Path) -> None:
    commands = get_commands()
    text = document.read_text()
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    for name in {*re.findall(r"manage\.py ([a-z_]+)", text), *re.findall(r"todo-mcp ([a-z_]+)", code)}:
        assert name in commands, name
        app = commands[name]
        command = load_command_class(app, name) if isinstance(app, str) else app
        assert command.help, f"{name} has no help"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_has_a_target(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_heading_has_a_target(document: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", document.read_text()):
        assert anchor in anchors(document.parent / path if path else document), f"{path}#{anchor}"


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as hosts of repositories make them."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    titles = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    return {re.sub(r"[^\w -]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_file_in_a_document_exists(document: Path) -> None:
    for name in re.findall(r"`(tests/[\w/]+\.py)`", document.read_text()):
        assert (ROOT / name).exists(), name


def test_every_dependency_is_explained_in_the_decisions() -> None:
    decisions = (ROOT / "docs/decisions.md").read_text()
    for source in ("requirements.in", "requirements-dev.in", "docs/examples/requirements-sdks.in"):
        for name in re.findall(r"^([a-z][\w-]*)", (ROOT / source).read_text(), re.MULTILINE):
            assert re.search(rf"\b{re.escape(name)}\b", decisions), f"{name} of {source}"


def test_every_make_target_in_a_document_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        names = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", document.read_text(), re.MULTILINE))
        assert names <= targets, document
