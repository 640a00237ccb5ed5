"""The release before runs on the tables of this one, as it does while workers are replaced, or after going back."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from tests.support import previous_release
from tests.support.caller import Caller
from tests.support.processes import PATIENCE, free_port, scratch
from tests.support.server_process import (
    Database,
    ServerProcess,
    environment_with,
    manage_command,
    serve_command,
    wait_until_ready,
)

COLUMNS = """
    SELECT table_name || '.' || column_name, data_type, is_nullable = 'NO' AND column_default IS NULL
        AND is_identity = 'NO' AND is_generated = 'NEVER', table_name
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
"""
Columns = dict[str, tuple[str, bool, str]]  # name → type, whether an INSERT must name it, table
WIDER = {("character varying", "text"), ("integer", "bigint"), ("smallint", "integer"), ("smallint", "bigint")}


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    with scratch() as directory:
        directory.chmod(0o755)
        yield previous_release.check_out(directory)


@pytest.fixture(scope="module")
def upgraded(checkout: Path) -> Iterator[tuple[Database, Columns]]:
    """A database that the release before made and filled, then migrated, and its columns before that."""
    with scratch() as directory:
        database = previous_release.OldDatabase(directory / "postgres", checkout)
        before = columns(database)
        database.manage("migrate", "-v0")
        yield database, before
        database.stop()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize(
    ("checkout", "missing"),
    [
        ("git clone -q --depth 1 file://$PWD/origin clone", "the history lacks the release before, .*--unshallow"),
        ("mkdir origin/clone && ln -s origin/clone clone", "clone is no git repository"),
        ("mkdir clone", "clone is no git repository"),
    ],
    ids=["shallow", "tar ball in another repository", "tar ball"],
)
def test_a_checkout_without_the_history_skips_and_names_what_is_missing(
    tmp_path: Path, checkout: str, missing: str
) -> None:
    commit = "git -c user.name=T -c user.email=t@example.com commit -q --allow-empty -m"
    script = f"git init -q origin && cd origin && {commit} 1 && git tag v0.0.1 && {commit} 2 && cd .. && {checkout}"
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)
    with pytest.raises(pytest.skip.Exception, match=missing):
        previous_release.check_out(tmp_path / "files", tmp_path / "clone")
    assert previous_release.name(tmp_path / "origin") == "v0.0.1"


def columns(database: Database) -> Columns:
    return {name: (kind, strict, table) for name, kind, strict, table in database.query(COLUMNS)}


def breaking(before: Columns, after: Columns) -> list[str]:
    """The changes that the release before does not survive: its INSERT or SELECT would fail."""
    tables = {table for _, _, table in before.values()}
    gone = [f"{name} is removed" for name in before.keys() - after.keys()]
    changed = [
        f"{name} is {after[name][0]}, no longer {kind}"
        for name, (kind, _, _) in before.items()
        if name in after and after[name][0] != kind and (kind, after[name][0]) not in WIDER
    ]
    strict = [
        f"{name} is NOT NULL and has no default in the database"
        for name, (_, is_strict, table) in after.items()
        if is_strict and table in tables and not before.get(name, ("", False, ""))[1]
    ]
    return sorted(gone + changed + strict)


def test_new_columns_are_nullable_or_have_a_default_and_no_column_is_lost(
    upgraded: tuple[Database, Columns],
) -> None:
    database, before = upgraded
    assert "tasks.title" in before
    assert breaking(before, columns(database)) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("ADD strict integer NOT NULL", "tasks.strict is NOT NULL and has no default in the database"),
        ("ALTER completed_at SET NOT NULL", "tasks.completed_at is NOT NULL and has no default in the database"),
        ("ALTER version DROP DEFAULT", "tasks.version is NOT NULL and has no default in the database"),
        ("DROP title CASCADE", "tasks.title is removed"),
        ("RENAME title TO name", "tasks.name is NOT NULL and has no default in the database"),
        ("ALTER conversation_id TYPE text", "tasks.conversation_id is text, no longer bigint"),
        ("ADD late timestamptz NOT NULL DEFAULT now(), ADD loose integer", None),
        ("ALTER title TYPE text", None),
    ],
)
def test_a_change_of_each_kind_is_judged(
    upgraded: tuple[Database, Columns], change: str, complaint: str | None
) -> None:
    database, before = upgraded
    with psycopg.connect(database.url) as connection:
        if "TYPE" in change:  # triggers and constraints name the column
            connection.execute("CREATE TABLE copy (LIKE tasks INCLUDING DEFAULTS INCLUDING IDENTITY)")
            connection.execute("DROP TABLE tasks CASCADE; ALTER TABLE copy RENAME TO tasks")
        connection.execute("TRUNCATE tasks CASCADE")  # another test may have added some
        connection.execute(f"ALTER TABLE tasks {change}".encode())
        rows = connection.execute(COLUMNS.encode()).fetchall()
        connection.rollback()
    complaints = breaking(before, {name: (kind, strict, table) for name, kind, strict, table in rows})
    assert (complaint in complaints) if complaint else complaints == []


@pytest.mark.anyio
async def test_the_release_before_serves_on_the_new_tables_beside_the_new_release(
    upgraded: tuple[Database, Columns], checkout: Path, tmp_path: Path
) -> None:
    database, _ = upgraded
    _, token = database.new_user()
    new = ServerProcess(database, tmp_path / "new.log")
    port, log = free_port(), tmp_path / "old.log"
    settings = {"DATABASE_URL": database.url, "MCP_SERVER_PORT": port}
    with log.open("wb") as output:
        old = subprocess.Popen(
            serve_command(host="127.0.0.1", root=checkout),
            cwd=checkout, env=environment_with(settings), stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_until_ready(old, f"http://127.0.0.1:{port}/readyz", log.read_text)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http, new.client() as c:
            before, now = Caller(http, token), Caller(c, token)
            written = await everything(before, now)
            assert await everything(now, before) == written
            assert await chat(before, now) == await chat(now, before) == ["user", "assistant"]
            await share_a_conversation_with_new_fields(before, now)
    finally:
        old.terminate()
        old.wait(PATIENCE)
        new.close()
    for text in (log.read_text(), new.log()):
        assert '"level":"ERROR"' not in text and "Traceback" not in text, text[-2000:]
    purge = subprocess.run(
        manage_command("purge", root=checkout), cwd=checkout, env=database.environment(), capture_output=True, text=True
    )
    assert purge.returncode == 0, purge.stderr


async def everything(writer: Caller, reader: Caller) -> list[Any]:
    """Each tool with one release, and what the other release sees of it."""
    added = await data(
        writer, "add_task", title="Buy milk", due="tomorrow", tags=["home"], idempotency_key=os.urandom(8).hex()
    )
    task_id = added["task_id"]
    repeating = await data(writer, "add_task", title="Water the plants", repeat="every day")
    await data(writer, "update_task", task_id=task_id, title="Buy oats", priority="high")
    changed = await data(reader, "update_task", task_id=task_id, append="2 kg")
    await data(writer, "update_task", undo=changed["undo"])
    completed = await data(writer, "complete_task", task_id=repeating["task_id"])
    found = await data(reader, "list_tasks", query="oats")
    await data(reader, "complete_task", task_id=task_id)
    deleted = await data(writer, "delete_task", task_ids=[task_id, repeating["task_id"], completed["next"]["task_id"]])
    trash = await data(reader, "list_tasks", status="deleted", limit=3)
    rest = await data(reader, "list_tasks")
    titles = [task["title"] for task in found["tasks"]]
    return [titles, len(deleted["tasks"]), len(trash["tasks"]), rest["total"], changed["updated_fields"]]


async def data(caller: Caller, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await caller.post(tool, **arguments)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()["data"]
    return result


async def chat(writer: Caller, reader: Caller) -> list[str]:
    """The roles of a conversation that one release writes and the other reads."""
    started = await writer.http.post("/api/conversations", headers=writer.headers)
    url = f"/api/conversations/{started.json()['id']}/messages"
    turn = [{"role": "user", "content": "Question"}, {"role": "assistant", "content": "Answer"}]
    appended = await writer.http.post(url, json=turn, headers=writer.headers)
    assert appended.status_code == 201, appended.text
    page = await reader.http.get(url + "?last=2", headers=reader.headers)
    return [message["role"] for message in page.json()["messages"]]


async def share_a_conversation_with_new_fields(before: Caller, now: Caller) -> None:
    """The release before appends to a conversation with refs and items, reads and deletes it, and sees no new field."""
    fields = {"title": "The bank", "metadata": {"model": "small"}}
    put = await now.http.put("/api/conversations/talk", json=fields, headers=now.headers)
    conversation = put.json()
    by_id, by_ref = f"/api/conversations/{conversation['id']}", "/api/conversations/talk"
    question = {"role": "user", "content": "Question", "ref": "question", "item": {"type": "message"}}
    await now.http.post(f"{by_ref}/messages", json=question, headers=now.headers)
    turn = [{"role": "assistant", "content": "Answer"}, {"role": "user", "content": "Thanks"}]
    key = {"Idempotency-Key": "key-of-a-turn"}
    appended = await before.http.post(f"{by_id}/messages", json=turn, headers={**before.headers, **key})
    assert appended.status_code == 201, appended.text
    repeated = await now.http.post(f"{by_id}/messages", json=turn, headers={**now.headers, **key})
    assert repeated.json() == appended.json()
    old_page = (await before.http.get(f"{by_id}/messages", headers=before.headers)).json()["messages"]
    new_page = (await now.http.get(f"{by_ref}/messages", headers=now.headers)).json()["messages"]
    assert [new_page[0].pop(name) for name in ("ref", "item")] == ["question", {"type": "message"}]
    assert new_page == old_page
    assert [message["content"] for message in old_page] == ["Question", "Answer", "Thanks"]
    replaced = await now.http.post(f"{by_ref}/messages?replace=question", json=question, headers=now.headers)
    assert replaced.status_code == 201, replaced.text
    seen = (await now.http.get(by_ref, headers=now.headers)).json()
    assert {name: seen[name] for name in ("ref", *fields)} == {"ref": "talk", **fields}
    assert (await before.http.delete(by_id, headers=before.headers)).status_code == 204
    assert (await now.http.get(by_ref, headers=now.headers)).status_code == 404
