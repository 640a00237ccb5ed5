"""The documents say what is there: README's tables, commands and links fail here when they lag behind."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class

from todo_mcp.core.operations import REGISTRY
from todo_mcp.management.commands.write_docs import with_tools

ROOT = Path(settings.BASE_DIR)
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_table_of_tools_is_made_from_their_declarations() -> None:
    assert with_tools(README) == README, "run manage.py write_docs"


def test_every_example_of_an_operation_is_one_that_it_takes() -> None:
    for operation in REGISTRY.values():
        assert operation.validate(operation.example)


def test_the_settings_that_are_read_are_those_that_the_documents_name() -> None:
    read = set(
        re.findall(r'(?:env\.\w+|_choice|_integer)\(\s*"([A-Z_]+)"', (ROOT / "todo_mcp/settings.py").read_text())
    )
    table = README.split("## Settings")[1].split("## ")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE)) == read
    assert set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) >= read


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_names_exists_and_tells_what_it_does(document: Path) -> None:
    commands = get_commands()
    for name in set(re.findall(r"manage\.py ([a-z_]+)", document.read_text())):
        assert name in commands, name
        app = commands[name]
        command = load_command_class(app, name) if isinstance(app, str) else app
        assert command.help, f"{name} has no help"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_is_there(document: Path) -> None:
    for name in re.findall(r"`(tests/[\w/]+\.py)`", document.read_text()):
        assert (ROOT / name).exists(), name


def test_every_dependency_has_its_reason_in_the_decisions() -> None:
    decisions = (ROOT / "docs/decisions.md").read_text()
    for source in ("requirements.in", "requirements-dev.in"):
        for name in re.findall(r"^([a-z][\w-]*)", (ROOT / source).read_text(), re.MULTILINE):
            assert re.search(rf"\b{re.escape(name)}\b", decisions), f"{name} of {source}"


def test_every_make_target_that_a_document_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", document.read_text(), re.MULTILINE))
        assert named <= targets, document
