"""A copy of everything of a user, and everything of a user gone: found by looking into every table there is."""

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
from tests.operators.user_rows import NOBODYS, counts, fill, rows_with, tables
from todo_mcp.core.errors import UserNotFound
from todo_mcp.operators.user_data import SECRETS, delete_user, export_user
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User

# Where the export keeps the rows of a table that has a form of its own.
SECTIONS: dict[str, Callable[[Any], list[Any]]] = {
    "users": lambda told: [told["user"]],
    "tasks": lambda told: told["tasks"],
    "task_events": lambda told: told["history"],
    "conversations": lambda told: told["conversations"],
    "messages": lambda told: [message for one in told["conversations"] for message in one["messages"]],
    "oauth2_provider_accesstoken": lambda told: told["tokens"],
    "reset_requests": lambda told: told["reset_requests"],
}


@pytest.fixture
def everything(committed: None, alice: User, bob: User, operator: User) -> None:
    fill(alice, operator)
    fill(bob, operator)


def exported(user_id: str) -> Any:
    return json.loads(json.dumps(export_user(user_id=user_id), cls=DjangoJSONEncoder))


def test_the_tests_put_something_of_alice_into_every_table(everything: None) -> None:
    """A new table makes this fail: teach `fill` about it, then see that it is exported and erased."""
    assert set(tables()) - NOBODYS == set(rows_with("alice"))


def test_the_export_has_every_row_of_every_table(everything: None) -> None:
    told = exported("alice")
    for table in set(tables()) - NOBODYS - {"django_session", "django_admin_log"}:
        with connection.cursor() as cursor:
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
            whose = next(name for name in ("user_id", "username", "email") if name in columns)  # an address begins so
            cursor.execute(f'SELECT count(*) FROM "{table}" WHERE {whose} LIKE %s', ["alice%"])
            (count,) = cursor.fetchone()
        if table.startswith("axes_"):
            assert len(told["sign_ins"]) == 3
            continue
        rows = SECTIONS[table](told) if table in SECTIONS else told["records"][table]
        assert len(rows) == count > 0, table
    assert len(told["records"]["django_admin_log"]) == 1  # what alice did
    assert len(told["administration"]) == 4  # what was done to her and hers


def test_the_export_has_every_column_but_secrets(everything: None) -> None:
    told = exported("alice")
    assert {"conversation_id", "message_id", "deleted_at"} <= set(told["tasks"][0])
    assert told["tokens"][0]["name"] == "laptop of alice"
    assert told["tokens"][0]["last_used"] is not None
    for table, rows in told["records"].items():
        with connection.cursor() as cursor:
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
        assert set(rows[0]) == columns - SECRETS, table


def test_the_export_holds_no_secret_and_nothing_of_anybody_else(everything: None) -> None:
    text = json.dumps(export_user(user_id="alice"), cls=DjangoJSONEncoder)
    for secret in ("code-alice", "refresh-alice", "d-alice", "password"):
        assert secret not in text
    assert "bob" not in text


def test_the_export_is_told_by_the_command(everything: None) -> None:
    out = io.StringIO()
    call_command("export_user", "alice", stdout=out)
    assert json.loads(out.getvalue()) == exported("alice")
    with pytest.raises(CommandError, match="no user"):
        call_command("export_user", "nobody")


def test_deleting_alice_leaves_nothing_of_her_in_any_table_and_all_of_bob(everything: None) -> None:
    bobs, before = rows_with("bob"), exported("bob")
    delete_user(user_id="alice")
    assert rows_with("alice") == {}
    assert rows_with("bob") == bobs
    assert exported("bob") == before
    with pytest.raises(UserNotFound):
        delete_user(user_id="alice")


def test_an_operators_id_goes_from_the_history_of_other_peoples_tasks(everything: None, operator: User) -> None:
    task_id = exported("bob")["tasks"][0]["id"]
    with history_context(user="operator", tool="admin", client="admin"):
        update_task(user_id="bob", task_id=task_id, title="Put right")
    delete_user(user_id="operator")
    assert set(rows_with("operator")) <= NOBODYS  # where the word means the role
    kept = TaskEvent.objects.filter(user_id="bob").latest("pgh_id")
    assert kept.title == "Put right"
    assert (kept.pgh_context["user"], kept.pgh_context["client"]) == (None, "admin")


@pytest.mark.parametrize("table", ["messages", "task_events", "oauth2_provider_accesstoken", "users"])
def test_when_something_fails_in_the_middle_nothing_has_changed(everything: None, table: str) -> None:
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
    everything: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = counts()
    monkeypatch.setattr("builtins.input", lambda _: "alice?")
    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("delete_user", "alice")
    assert counts() == before
    call_command("delete_user", "alice", "--yes")
    assert "Erased user alice, 4 tasks and 1 conversations." in capsys.readouterr().out
    with pytest.raises(CommandError, match="no user"):
        call_command("delete_user", "alice", "--yes")
