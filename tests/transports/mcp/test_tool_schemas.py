"""What tools/list says of each tool: as reviewed, fit for every client, and small.

After a change that is meant: ``UPDATE_SNAPSHOTS=1 make test``, then read the difference in ``snapshots`` beside
this file.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.support.caller import Caller
from tests.support.mcp_messages import REVISIONS
from tests.support.tool_calls import TOOLS, arguments_of
from todo_mcp.core.operations import REGISTRY
from todo_mcp.transports.mcp.sdk_server import describe

SNAPSHOTS = Path(__file__).parent / "snapshots"
BUDGET = 11_500  # characters of tools/list: a model reads them before every conversation, about 4 to a token


def listed(tool: str) -> dict[str, Any]:
    return describe(REGISTRY[tool]).model_dump(mode="json", by_alias=True, exclude_none=True)


def snapshot_of(tool: str) -> str:
    return json.dumps(listed(tool), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


@pytest.fixture(scope="module", autouse=True)
def update_snapshots() -> None:
    if "UPDATE_SNAPSHOTS" in os.environ:
        SNAPSHOTS.mkdir(exist_ok=True)
        for tool in TOOLS:
            (SNAPSHOTS / f"{tool}.json").write_text(snapshot_of(tool), encoding="utf-8")


def properties_of(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from schema["properties"].items()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_as_it_was_reviewed(tool: str) -> None:
    reviewed = (SNAPSHOTS / f"{tool}.json").read_text(encoding="utf-8")
    assert reviewed == snapshot_of(tool), "run with UPDATE_SNAPSHOTS=1 if the change is meant"


def test_there_is_a_snapshot_of_each_tool_and_of_nothing_else() -> None:
    assert {path.stem for path in SNAPSHOTS.iterdir()} == set(TOOLS)


@pytest.mark.anyio
async def test_the_list_of_tools_is_small_and_the_same_in_every_revision(as_alice: Caller) -> None:
    lists = []
    for revision in REVISIONS:
        result = (await as_alice.rpc("tools/list", {}, revision=revision)).json()["result"]
        lists.append(result["tools"])
        assert len(json.dumps(result, ensure_ascii=False, separators=(",", ":"))) <= BUDGET
    assert lists == [[listed(tool) for tool in TOOLS]] * len(REVISIONS)


@pytest.mark.parametrize("tool", TOOLS)
def test_an_input_schema_holds_nothing_that_a_client_stumbles_over(tool: str) -> None:
    schema = REGISTRY[tool].input_schema
    text = json.dumps(schema)
    assert set(schema) <= {"type", "properties", "required", "additionalProperties"}
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    for word in ("$ref", "$defs", "anyOf", "oneOf", "allOf", "null", "pattern", "format", "const"):
        assert f'"{word}"' not in text
    for name, said in properties_of(schema):
        assert said["type"] in ("string", "integer"), name
        assert said["description"].endswith("."), name
        assert all(abs(said.get(bound, 0)) < 2**53 for bound in ("minimum", "maximum")), name
    assert set(schema.get("required", [])) <= set(schema["properties"])


@pytest.mark.parametrize("tool", TOOLS)
def test_a_default_is_one_that_the_schema_allows(tool: str) -> None:
    for name, said in properties_of(REGISTRY[tool].input_schema):
        if "default" in said:
            Draft202012Validator(said).validate(said["default"])
            assert name not in REGISTRY[tool].input_schema.get("required", [])


@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_schema_allows_we_take_and_what_it_refuses_we_refuse(tool: str) -> None:
    validator = Draft202012Validator(REGISTRY[tool].input_schema)
    good = [arguments_of(tool), {**arguments_of(tool), "user_id": "me"}, dict(REGISTRY[tool].example)]
    for arguments in good:
        assert validator.is_valid(arguments)
        assert REGISTRY[tool].validate(arguments) is not None
    for arguments in (
        {"x": 1},
        {"user_id": None},
        {"user_id": ""},
        {"title": "x" * 201},
        {"limit": 101},
        {"task_id": 0},
    ):
        assert not validator.is_valid({**arguments_of(tool), **arguments})


@pytest.mark.parametrize("tool", TOOLS)
def test_every_output_is_an_object_with_status_data_and_message(tool: str) -> None:
    schema = REGISTRY[tool].output_schema
    assert schema["type"] == "object"
    assert schema["required"] == ["status", "data", "message"]
    assert schema["properties"]["status"]["enum"] == ["success", "error"]
    success, error = schema["properties"]["data"]["anyOf"]
    assert "task_id" in success["required"] or "tasks" in success["required"]
    assert error["required"] == ["error_code", "error"]


@pytest.mark.parametrize("tool", TOOLS)
def test_the_words_of_a_tool_are_for_a_model(tool: str) -> None:
    described = listed(tool)
    assert len(described["title"]) <= 30
    first, _, more = described["description"].partition("\n\n")
    assert first.endswith(".")
    assert more.endswith(".")
    assert all(ord(char) < 0x2000 for char in described["description"])  # no invisible instructions
    assert described["annotations"]["title"] == described["title"]
