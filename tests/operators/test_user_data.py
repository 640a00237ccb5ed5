"""Export and erasure of all data of a user, checked by reading every table of the database."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, connection

from tasks.models import TaskEvent
from tasks.services import update_task
from tests.operators.user_rows import ITEM, UNOWNED_TABLES, counts, fill, rows_with, tables
from tests.support.factories import MessageFactory
from todo_mcp.core.errors import UserNotFound
from todo_mcp.operators.user_data import SECRETS, delete_user, export_user
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User

# How to get a table's rows from the export, for the tables that have their own section in it.
SECTIONS: dict[str, Callable[[Any], list[Any]]] = {
    "users": lambda export: [export["user"]],
    "tasks": lambda export: export["tasks"],
    "task_tags": lambda export: [tag for task in export["tasks"] if not task["deleted_at"] for tag in task["tags"]],
    "task_events": lambda export: export["history"],
    "conversations": lambda export: export["conversations"],
    "messages": lambda export: [message for entry in export["conversations"] for message in entry["messages"]],
    "oauth2_provider_accesstoken": lambda export: export["tokens"],
    "log_subjects": lambda export: export["administration"],
    "reset_requests": lambda export: export["reset_requests"],
}


@pytest.fixture
def filled_tables(committed: None, alice: User, bob: User, operator: User) -> None:
    fill(alice, operator)
    fill(bob, operator)


def export_of(user_id: str) -> Any:
    return json.loads(json.dumps(export_user(user_id=user_id), cls=DjangoJSONEncoder))


def test_the_fixture_puts_a_row_of_alice_into_every_table(filled_tables: None) -> None:
    """A new table makes this fail. Add it to `fill`, then check that its rows are exported and erased."""
    assert set(tables()) - UNOWNED_TABLES == set(rows_with("alice"))


def test_the_export_has_every_row_of_every_table(filled_tables: None) -> None:
    export = export_of("alice")
    for table in set(tables()) - UNOWNED_TABLES - {"django_session", "django_admin_log"}:
        with connection.cursor() as cursor:
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
            # In the column of email addresses, each address starts with the id.
            owner_column = next(name for name in ("user_id", "username", "email") if name in columns)
            cursor.execute(f'SELECT count(*) FROM "{table}" WHERE {owner_column} LIKE %s', ["alice%"])
            (count,) = cursor.fetchone()
        if table.startswith("axes_"):
            assert len(export["sign_ins"]) == 3
            continue
        rows = SECTIONS[table](export) if table in SECTIONS else export["records"][table]
        assert len(rows) == count > 0, table
    assert len(export["records"]["django_admin_log"]) == 1  # alice's own actions
    assert len(export["administration"]) == 4  # actions of others on alice and her rows


def test_the_export_has_every_column_except_secrets(filled_tables: None) -> None:
    export = export_of("alice")
    assert export["user"]["time_zone"] == "Europe/Berlin"
    for table, section in (("tasks", "tasks"), ("task_events", "history")):
        with connection.cursor() as cursor:
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
        assert set(export[section][0]) == columns - {"pgh_obj_id"}  # an event has the task's id as its own id
    [task] = [task for task in export["tasks"] if task["repeat"]]
    assert (task["due_at"], task["repeat_zone"], task["tags"]) == ("2026-11-27T08:00:00Z", "Europe/Berlin", ["Home"])
    assert (task["priority"], task["checklist"]) == (3, [{"text": "Milk", "done": False}])
    assert export["tokens"][0]["name"] == "laptop of alice"
    assert export["tokens"][0]["last_used"] is not None
    for table, rows in export["records"].items():
        with connection.cursor() as cursor:
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
        assert set(rows[0]) == columns - SECRETS, table


def test_the_export_has_every_field_of_a_conversation_and_a_message_as_json_values(filled_tables: None) -> None:
    [chat] = export_of("alice")["conversations"]
    [message] = chat["messages"]
    for table, row, left_out in (
        ("conversations", chat, {"user_id", "stored_messages", "stored_bytes"}),
        ("messages", message, {"user_id"}),
    ):
        with connection.cursor() as cursor:
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
        assert set(row) - {"messages"} == columns - left_out
    assert (chat["ref"], chat["title"], chat["metadata"]) == ("of:alice", "Title of alice", {"owner": "alice"})
    assert (message["ref"], message["item"]) == ("by:alice", json.loads(ITEM))


@pytest.mark.django_db
def test_the_export_leaves_out_what_a_conversation_and_a_message_do_not_have() -> None:
    message = MessageFactory.create()
    [chat] = export_of(message.user_id)["conversations"]
    assert set(chat) == {"id", "created_at", "updated_at", "messages"}
    assert set(chat["messages"][0]) == {"id", "conversation_id", "role", "content", "created_at"}


def test_the_export_contains_no_secret_and_nothing_of_other_users(filled_tables: None) -> None:
    text = json.dumps(export_user(user_id="alice"), cls=DjangoJSONEncoder)
    for secret in ("code-alice", "refresh-alice", "d-alice", "password"):
        assert secret not in text
    assert "bob" not in text


def test_the_command_prints_the_export(filled_tables: None) -> None:
    out = io.StringIO()
    call_command("export_user", "alice", stdout=out)
    assert json.loads(out.getvalue()) == export_of("alice")
    with pytest.raises(CommandError, match="not found"):
        call_command("export_user", "nobody")


def test_deleting_alice_removes_every_row_of_hers_and_no_row_of_bobs(filled_tables: None) -> None:
    bobs_rows, bobs_export = rows_with("bob"), export_of("bob")
    delete_user(user_id="alice")
    assert rows_with("alice") == {}
    assert rows_with("bob") == bobs_rows
    assert export_of("bob") == bobs_export
    with pytest.raises(UserNotFound):
        delete_user(user_id="alice")


def test_deleting_an_operator_removes_the_id_from_the_history_of_other_users_tasks(
    filled_tables: None, operator: User
) -> None:
    task_id = export_of("bob")["tasks"][0]["id"]
    with history_context(user="operator", tool="admin", client="admin"):
        update_task(user_id="bob", task_id=task_id, title="Put right")
    delete_user(user_id="operator")
    assert set(rows_with("operator")) <= UNOWNED_TABLES  # there "operator" is the name of the role
    event = TaskEvent.objects.filter(user_id="bob").latest("pgh_id")
    assert event.title == "Put right"
    assert (event.pgh_context["user"], event.pgh_context["client"]) == (None, "admin")


@pytest.mark.parametrize("table", ["messages", "task_events", "oauth2_provider_accesstoken", "users"])
def test_a_failure_in_the_middle_changes_nothing(filled_tables: None, table: str) -> None:
    before = counts()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;
            CREATE TRIGGER fail BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION fail()"""
        )
        try:
            with pytest.raises(DatabaseError, match="broken"):
                delete_user(user_id="alice")
        finally:
            cursor.execute(f"DROP TRIGGER fail ON {table}; DROP FUNCTION fail")
    assert counts() == before


def test_the_command_asks_before_it_erases(
    filled_tables: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = counts()
    monkeypatch.setattr("builtins.input", lambda _: "alice?")
    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("delete_user", "alice")
    assert counts() == before
    call_command("delete_user", "alice", "--yes")
    assert "Erased user alice, 4 tasks and 1 conversations." in capsys.readouterr().out
    with pytest.raises(CommandError, match="not found"):
        call_command("delete_user", "alice", "--yes")
