"""What tools/list says about each tool: as reviewed, usable for every client, and small.

After an intended change, run ``UPDATE_SNAPSHOTS=1 make test``. Then read the difference in ``snapshots`` beside this
file.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.support.caller import Caller
from tests.support.mcp_messages import REVISIONS
from tests.support.tool_calls import TOOLS, arguments_of
from todo_mcp.core.operations import REGISTRY
from todo_mcp.transports.mcp.sdk_server import describe

SNAPSHOTS = Path(__file__).parent / "snapshots"
BUDGET = 13_000  # bytes of tools/list: a model reads them before every conversation, about 4 to a token


def listing_of(tool: str) -> dict[str, Any]:
    return describe(REGISTRY[tool], frozenset(settings.SCOPES)).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )


def snapshot_of(tool: str) -> str:
    return json.dumps(listing_of(tool), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


@pytest.fixture(scope="module", autouse=True)
def update_snapshots() -> None:
    if "UPDATE_SNAPSHOTS" in os.environ:
        SNAPSHOTS.mkdir(exist_ok=True)
        for tool in TOOLS:
            (SNAPSHOTS / f"{tool}.json").write_text(snapshot_of(tool), encoding="utf-8")


def properties_of(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from schema["properties"].items()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_matches_its_reviewed_snapshot(tool: str) -> None:
    reviewed = (SNAPSHOTS / f"{tool}.json").read_text(encoding="utf-8")
    assert reviewed == snapshot_of(tool), "run with UPDATE_SNAPSHOTS=1 if the change is intended"


def test_each_tool_has_a_snapshot_and_nothing_else_has_one() -> None:
    assert {path.stem for path in SNAPSHOTS.iterdir()} == set(TOOLS)


@pytest.mark.anyio
async def test_the_list_of_tools_is_small_and_the_same_in_every_revision(as_alice: Caller) -> None:
    lists = []
    for revision in REVISIONS:
        result = (await as_alice.rpc("tools/list", {}, revision=revision)).json()["result"]
        lists.append(result["tools"])
        assert len(json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()) <= BUDGET
    assert lists == [[listing_of(tool) for tool in TOOLS]] * len(REVISIONS)


@pytest.mark.parametrize("tool", TOOLS)
def test_an_input_schema_contains_nothing_that_clients_fail_on(tool: str) -> None:
    schema = REGISTRY[tool].input_schema
    text = json.dumps(schema)
    assert set(schema) <= {"type", "properties", "required", "additionalProperties"}
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    for word in ("$ref", "$defs", "anyOf", "oneOf", "allOf", "null", "pattern", "format", "const"):
        assert f'"{word}"' not in text
    for name, subschema in properties_of(schema):
        assert subschema["type"] in ("string", "integer", "array", "boolean"), name
        assert subschema.get("description", ".").endswith("."), name
        assert all(abs(subschema.get(bound, 0)) < 2**53 for bound in ("minimum", "maximum")), name
    assert set(schema.get("required", [])) <= set(schema["properties"])


@pytest.mark.parametrize("tool", TOOLS)
def test_a_default_is_valid_under_its_own_schema(tool: str) -> None:
    for name, subschema in properties_of(REGISTRY[tool].input_schema):
        if "default" in subschema:
            Draft202012Validator(subschema).validate(subschema["default"])
            assert name not in REGISTRY[tool].input_schema.get("required", [])


@pytest.mark.parametrize("tool", TOOLS)
def test_the_schema_and_the_tool_accept_good_arguments_and_the_schema_refuses_bad_ones(tool: str) -> None:
    validator = Draft202012Validator(REGISTRY[tool].input_schema)
    good = [arguments_of(tool), {**arguments_of(tool), "user_id": "me"}, dict(REGISTRY[tool].example)]
    for arguments in good:
        assert validator.is_valid(arguments)
        assert REGISTRY[tool].validate(arguments) is not None
    for arguments in (
        {"x": 1},
        {"user_id": None},
        {"title": "x" * 201},
        {"limit": True},
        {"task_id": "seven"},
    ):
        assert not validator.is_valid({**arguments_of(tool), **arguments})


@pytest.mark.parametrize("tool", TOOLS)
def test_every_output_is_an_object_with_status_data_and_message(tool: str) -> None:
    schema = REGISTRY[tool].output_schema
    assert schema["type"] == "object"
    assert schema["required"] == ["status", "data", "message"]
    assert schema["properties"]["status"]["enum"] == ["success", "error"]
    data = schema["properties"]["data"]["properties"]
    assert "task_id" in data or "tasks" in data
    assert "error" in data


@pytest.mark.parametrize("tool", TOOLS)
def test_the_title_and_description_of_a_tool_suit_a_model(tool: str) -> None:
    listing = listing_of(tool)
    assert len(listing["title"]) <= 30
    assert listing["description"].endswith(".")
    assert all(ord(char) < 0x2000 for char in listing["description"])  # no invisible instructions
    assert listing["annotations"]["title"] == listing["title"]
