"""An error's field as operators see it: the names of the schema, and never a name that the caller chose."""

import pytest

from tests.core.test_operation_rules import OPERATIONS
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.core.operations import REGISTRY, Operation


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("due", "due"),
        ("tasks", "tasks"),
        ("tasks.3.due", "tasks.due"),
        ("tasks.49.tags.2", "tasks.tags"),
        ("tags.0", "tags"),
        ("user_id", "user_id"),
        ("secret", "unknown"),
        ("3", "unknown"),
        ("", "unknown"),
        ("tasks.3.secret", "tasks.unknown"),
        ("tasks.secret", "tasks.unknown"),
        ("due.secret", "due"),
        ("secret.due", "unknown"),
        ("items", "unknown"),
        ("properties", "unknown"),
    ],
)
def test_only_names_of_the_schema_are_known(name: str, known: str) -> None:
    assert REGISTRY["add_task"].known_field(name) == known


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_wrong_value_of_any_argument_names_this_argument(operation: Operation) -> None:
    for argument in operation.arguments.model_fields:
        with pytest.raises(InvalidArguments) as refusal:
            operation.validate({argument: {"secret": object()}})
        assert argument in {operation.known_field(field) for field in refusal.value.details["fields"]}
