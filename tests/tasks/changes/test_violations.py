"""A violated constraint is a defect, unless it says that a user, a conversation or a message was removed meanwhile."""

from typing import Any

import pytest
from django.db import connection

from tests.support.tool_user import ToolUser
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db
SECRET = "Alice's secret"
RULES = {
    "check": "ALTER TABLE tasks ADD CONSTRAINT test_check CHECK (title <> $$Alice's secret$$) NOT VALID",
    "not null": "ALTER TABLE tasks ADD COLUMN test_column integer NOT NULL; "
    "ALTER TABLE tasks ALTER COLUMN test_column SET DEFAULT NULL",
    "unique": "CREATE UNIQUE INDEX test_unique ON tasks (length(title))",
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("more", [{}, {"priority": "high"}, {"idempotency_key": "a-key-of-alice"}])
@pytest.mark.parametrize("is_remembered", [True, False])
def test_a_violation_in_add_task_is_a_defect(
    alice: User, caplog: pytest.LogCaptureFixture, rule: str, more: dict[str, Any], is_remembered: bool
) -> None:
    user = ToolUser("alice")
    if rule == "unique" or is_remembered:
        user.done("list_tasks")
    if rule == "unique":
        user.add(SECRET)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if rule == "not null":
            cursor.execute("DELETE FROM tasks")
        cursor.execute(RULES[rule])
    envelope = user.call("add_task", title=SECRET, **more)
    assert envelope["data"]["error"] == "internal_error", envelope
    defects = [record for record in caplog.records if record.getMessage() == "defect"]
    assert len(defects) == 1 and SECRET not in caplog.text
