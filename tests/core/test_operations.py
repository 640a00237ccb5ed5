"""What ``@operation`` derives from a function: its arguments, their schema, and the text of a refusal."""

import inspect
import json
from typing import Annotated, Any, Literal

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from tests.support.tool_calls import TOOLS
from todo_mcp.core.arguments import Id, Integer, Text
from todo_mcp.core.envelope import Output
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.core.operations import REGISTRY, RESOURCES, Operation, operation
from todo_mcp.core.validation import MAX_FIELDS

Word = Annotated[str, Text(description="A word.", minimum=1, maximum=10)]
Count = Annotated[int, Integer(description="How many.", minimum=1, maximum=9)]
PageId = Annotated[int, Id(description="The page's id.")]
Colour = Annotated[Literal["red", "blue"], Field(description="Which.")]
SENTINEL = "the-words-of-a-task"

nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


class Painted(Output):
    count: int

    def message(self) -> str:
        return f"Painted {self.count}."


def declare(**options: Any) -> Operation:
    registry: dict[str, Operation] = {}

    @operation(title="Paint", scope="tasks:write", example={}, quotas=(), registry=registry, **options)
    def paint(
        *, user_id: str, word: Word, count: Count = 1, colour: Colour | None = None, page_id: PageId | None = None
    ) -> Painted:
        """Paint a word."""
        return Painted(count=count)

    return registry["paint"]


def fields(declared: Operation, **arguments: Any) -> dict[str, str]:
    with pytest.raises(InvalidArguments) as refused:
        declared.validate(arguments)
    reasons: dict[str, str] = refused.value.details["fields"]
    assert refused.value.message.startswith("Nothing was done. Correct these and call again: ")
    assert all(f"{name}: {reason}" in refused.value.message for name, reason in reasons.items())
    return reasons


def test_validation_normalises_the_given_arguments_and_adds_none() -> None:
    assert declare().validate({"word": "a"}) == {"word": "a"}
    all_arguments = {"user_id": "me", "word": "a", "count": "5", "colour": "red"}
    assert declare().validate(all_arguments) == {**all_arguments, "count": 5}


def test_a_refusal_names_each_wrong_argument_with_its_reason() -> None:
    assert fields(declare()) == {"word": "is required"}
    assert fields(declare(), word="a" * 11, count=0, colour="green", user_id=1, size=3) == {
        "user_id": "must be a string",
        "word": "must be 1 to 10 characters long, and this is 11",
        "count": "must be from 1 to 9",
        "colour": "must be one of 'red' or 'blue'",
        "size": "unknown argument; allowed are word, count, colour, page_id, user_id",
    }


def test_an_optional_argument_with_an_empty_value_is_left_out() -> None:
    values: list[object] = [None, "", []]
    for empty in values:
        arguments = {"word": "a", "count": empty, "colour": empty, "user_id": empty}
        assert declare().validate(arguments) == {"word": "a"}


def test_a_required_argument_with_an_empty_value_is_refused() -> None:
    values: list[object] = [None, "", []]
    assert [set(fields(declare(), word=empty)) for empty in values] == [{"word"}] * 3


def test_zero_leaves_out_an_id_and_nothing_else() -> None:
    declared = declare()
    for zero in (0, 0.0, -0.0, "0", "000"):
        assert declared.validate({"word": "a", "page_id": zero}) == {"word": "a"}
        assert set(fields(declared, word="a", count=zero)) == {"count"}
    others: list[object] = [False, "0.0", "-0", {}, [0], " "]
    for other in others:
        assert set(fields(declared, word="a", page_id=other)) == {"page_id"}


def test_an_argument_of_a_scope_is_hidden_from_a_token_without_it() -> None:
    declared = declare(needs_scope={"count": "tasks:count"})
    assert "count" in declared.input_schema["properties"]
    assert "count" in declared.input_schema_for(frozenset({"tasks:count"}))["properties"]
    assert "count" not in declared.input_schema_for(frozenset({"tasks:write"}))["properties"]
    declared.check_scopes({"word": "a", "count": 1}, frozenset({"tasks:count"}))
    declared.check_scopes({"word": "a"}, frozenset())
    with pytest.raises(InvalidArguments) as refused:
        declared.check_scopes({"word": "a", "count": 1}, frozenset({"tasks:write"}))
    assert refused.value.details["fields"] == {"count": "needs a token with the scope tasks:count"}


def test_an_empty_text_clears_its_field_if_the_call_changes_nothing_else() -> None:
    declared = REGISTRY["update_task"]
    assert declared.validate({"task_id": 7, "description": ""}) == {"task_id": 7, "clear": ["description"]}
    assert declared.validate({"task_id": 7, "description": "", "title": "New"}) == {"task_id": 7, "title": "New"}
    values: list[object] = [None, []]
    for nothing in values:
        assert declared.validate({"task_id": 7, "description": nothing}) == {"task_id": 7}


def test_at_least_one_of_the_named_arguments_must_be_sent() -> None:
    declared = declare(at_least_one=("count", "colour"))
    assert fields(declared, word="a") == {"count": "send at least one change: count, colour"}
    assert declared.validate({"word": "a", "count": 1}) == {"word": "a", "count": 1}
    assert declared.validate({"word": "a", "count": None}) == {"word": "a"}


def test_a_refusal_repeats_an_unknown_name_escaped_and_shortened() -> None:
    reasons = fields(declare(), word="a", **{"é\n\ud800": 1, "x" * 500: 1, "\u202e": 1})
    assert set(reasons) == {"\\xe9\\n\\ud800", "x" * 64, "\\u202e"}


def test_many_wrong_arguments_do_not_make_a_long_answer() -> None:
    reasons = fields(declare(), **{f"x{n}": 1 for n in range(5000)})
    assert len(reasons) == MAX_FIELDS


@given(st.dictionaries(st.sampled_from(["word", "count", "colour", "user_id"]), nested))
def test_any_json_is_accepted_or_refused_by_name(arguments: dict[str, Any]) -> None:
    try:
        validated_arguments = declare().validate(arguments)
    except InvalidArguments as refused:
        assert set(refused.details["fields"]) <= {"word", "count", "colour", "user_id"}
        json.dumps(refused.data()).encode()
    else:
        assert set(validated_arguments) == set(arguments)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_refusal_never_repeats_a_value(tool: str) -> None:
    for value in (SENTINEL, SENTINEL * 100, [SENTINEL], {SENTINEL: SENTINEL}, f"\x00{SENTINEL}"):
        for name in REGISTRY[tool].arguments.model_fields:
            try:
                REGISTRY[tool].validate({name: value})
            except InvalidArguments as refused:
                assert SENTINEL not in json.dumps(refused.data()) + refused.message


def test_a_name_cannot_be_registered_twice() -> None:
    registry: dict[str, Operation] = {}

    def register() -> None:
        @operation(title="Paint", scope="tasks:write", example={}, quotas=(), registry=registry)
        def paint(*, user_id: str) -> Painted:
            """Paint."""
            return Painted(count=1)

    register()
    with pytest.raises(AssertionError, match="paint is registered twice"):
        register()


def test_the_schema_of_the_arguments_is_flat_and_says_which_are_required() -> None:
    schema = declare().input_schema
    assert schema == {
        "type": "object",
        "properties": {
            "user_id": schema["properties"]["user_id"],
            "word": {"type": "string", "maxLength": 10, "description": "A word."},
            "count": {"type": "integer", "description": "How many."},
            "colour": {"type": "string", "enum": ["red", "blue"], "description": "Which."},
            "page_id": {"type": "integer", "description": "The page's id."},
        },
        "required": ["word"],
        "additionalProperties": False,
    }


def test_the_tools_are_exactly_five_in_this_order() -> None:
    assert tuple(REGISTRY) == TOOLS


@pytest.mark.parametrize("declared", [*REGISTRY.values(), *RESOURCES.values()], ids=lambda declared: declared.name)
def test_a_declaration_follows_the_rules_of_the_project(declared: Operation) -> None:
    parameters = inspect.signature(declared.function).parameters
    assert ("user_id" in parameters) is not declared.for_all_users
    assert declared.for_all_users or next(iter(parameters)) == "user_id"
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert declared.for_all_users or parameters["user_id"].default is inspect.Parameter.empty
    assert declared.scope in settings.SCOPES
    assert declared.title
    assert declared.description
    assert not (declared.read_only and declared.destructive)
    assert declared.name in REGISTRY or declared.name in RESOURCES


@pytest.mark.parametrize("declared", REGISTRY.values(), ids=lambda declared: declared.name)
def test_the_example_of_a_tool_is_a_valid_call(declared: Operation) -> None:
    assert declared.validate(declared.example)
