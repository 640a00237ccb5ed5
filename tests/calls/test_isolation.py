"""Every combination of tool, kind of token, relation and door, with the answer that the contract requires.

The expected answers are copied from the contract by hand. The tokens are for Bob. In the relations ``other`` and
``hers`` the calls aim at tasks of Alice.
"""

from typing import Any

import pytest
from django.utils import timezone
from oauth2_provider.models import AccessToken

from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory, UserFactory
from tests.support.tool_calls import Answer, arguments_of, everything_of, send
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import issue_token, revoke_token
from todo_mcp.core.operations import REGISTRY
from todo_mcp.users.models import User
from todo_mcp.users.services import set_active

pytestmark = pytest.mark.anyio

READ, ADD, CHANGE = "list_tasks", "add_task", ("complete_task", "update_task", "delete_task")
TOOLS = (READ, ADD, *CHANGE)

# The user_id that is sent, and the owner of the task that the call aims at.
RELATIONS: dict[str, tuple[str | None, str]] = {
    "own": ("bob", "bob"),
    "me": ("me", "bob"),
    "omitted": (None, "bob"),
    "other": ("alice", "alice"),
    "missing": ("no-one", "alice"),
    "hers": (None, "alice"),
    "hers, named": ("bob", "alice"),
}

# The codes of the answers to list_tasks, to add_task, and to each tool that changes a task.
Cells = dict[str, tuple[int, int, int]]
OK, BAD, UNAUTHENTICATED, FORBIDDEN, MISSING = 200, 400, 401, 403, 404
ALL_REJECTED: Cells = dict.fromkeys(RELATIONS, (UNAUTHENTICATED,) * 3)
EXPECTED: dict[str, Cells] = {
    "personal": {
        "own": (OK, OK, OK),
        "me": (OK, OK, OK),
        "omitted": (OK, OK, OK),
        "other": (FORBIDDEN, FORBIDDEN, FORBIDDEN),
        "missing": (FORBIDDEN, FORBIDDEN, FORBIDDEN),
        "hers": (OK, OK, MISSING),
        "hers, named": (OK, OK, MISSING),
    },
    "read-only personal": {
        "own": (OK, FORBIDDEN, FORBIDDEN),
        "me": (OK, FORBIDDEN, FORBIDDEN),
        "omitted": (OK, FORBIDDEN, FORBIDDEN),
        "other": (FORBIDDEN, FORBIDDEN, FORBIDDEN),
        "missing": (FORBIDDEN, FORBIDDEN, FORBIDDEN),
        "hers": (OK, FORBIDDEN, FORBIDDEN),
        "hers, named": (OK, FORBIDDEN, FORBIDDEN),
    },
    "service": {
        "own": (OK, OK, OK),
        "me": (BAD, BAD, BAD),
        "omitted": (BAD, BAD, BAD),
        "other": (OK, OK, OK),  # a service may act for any user
        "missing": (MISSING, MISSING, MISSING),
        "hers": (BAD, BAD, BAD),
        "hers, named": (OK, OK, MISSING),
    },
    "service without act_as": dict.fromkeys(RELATIONS, (FORBIDDEN,) * 3),
    "another user's": {
        "own": (FORBIDDEN, FORBIDDEN, FORBIDDEN),
        "me": (OK, OK, MISSING),
        "omitted": (OK, OK, MISSING),
        "other": (FORBIDDEN, FORBIDDEN, FORBIDDEN),
        "missing": (FORBIDDEN, FORBIDDEN, FORBIDDEN),
        "hers": (OK, OK, MISSING),
        "hers, named": (FORBIDDEN, FORBIDDEN, FORBIDDEN),
    },
    "expired": ALL_REJECTED,
    "revoked": ALL_REJECTED,
    "deactivated user's": ALL_REJECTED,
    "never issued": ALL_REJECTED,
}


async def test_every_tool_is_in_the_table() -> None:
    assert {*TOOLS} == {*REGISTRY}


def make_token(kind: str) -> str:
    if kind == "never issued":
        return "todo_" + "x" * 43
    if kind.startswith("service"):
        scopes = None if kind == "service" else ["tasks:read", "tasks:write"]
        return issue_token(service="chat", scopes=scopes)
    owner = "charlie" if kind == "another user's" else "bob"
    token = issue_token(user_id=owner, scopes=["tasks:read"] if kind == "read-only personal" else None)
    if kind == "expired":
        AccessToken.objects.update(expires=timezone.now())
    if kind == "revoked":
        assert revoke_token(token_id=AccessToken.objects.get().pk, cause=Cause(By.COMMAND))
    if kind == "deactivated user's":
        set_active(user_id="bob", active=False)
    return token


def expected_of(kind: str, relation: str, tool: str) -> int:
    read, add, change = EXPECTED[kind][relation]
    return {READ: read, ADD: add}.get(tool, change)


def make_targets() -> dict[tuple[str, str], int]:
    """Add a task for each cell to aim at. Returns their ids."""
    cells = [(relation, tool) for relation in RELATIONS for tool in TOOLS]
    owners = [RELATIONS[relation][1] for relation, _ in cells]
    tasks = Task.objects.bulk_create([Task(user_id=owner, title="Aimed at") for owner in owners])
    return {cell: task.pk for cell, task in zip(cells, tasks, strict=True)}


async def ask(caller: Caller, door: str, relation: str, tool: str, task_id: int) -> Answer:
    user_id, _ = RELATIONS[relation]
    user = {} if user_id is None else {"user_id": user_id}
    return await send(caller, door, tool, {**arguments_of(tool, task_id), **user})


def shown_in(answer: Answer) -> set[int]:
    """The ids of the tasks that an answer shows."""
    data: dict[str, Any] = answer.envelope["data"]
    return {task["task_id"] for task in data.get("tasks", [])} | ({data["task_id"]} if "task_id" in data else set())


@pytest.fixture
def cast(committed: None, alice: User, bob: User, charlie: User) -> None:
    TaskFactory.create_batch(2, user=alice)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", EXPECTED)
async def test_every_cell_answers_as_the_contract_says(
    as_service: Caller, cast: None, orm: Orm, door: str, kind: str
) -> None:
    await orm(lambda: AccessToken.objects.all().delete())
    caller = Caller(as_service.http, await orm(lambda: make_token(kind)))
    targets = await orm(make_targets)
    alices_ids = {row["id"] for row in await orm(lambda: everything_of("alice"))}
    for (relation, tool), task_id in targets.items():
        answer = await ask(caller, door, relation, tool, task_id)
        cell = f"{kind}, {relation}, {tool}"
        assert answer.code == expected_of(kind, relation, tool), (cell, answer.envelope)
        assert (kind, relation) == ("service", "other") or not shown_in(answer) & alices_ids, cell


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", EXPECTED)
async def test_only_a_service_that_names_alice_changes_her_data(
    as_service: Caller, cast: None, orm: Orm, door: str, kind: str
) -> None:
    await orm(lambda: AccessToken.objects.all().delete())
    caller = Caller(as_service.http, await orm(lambda: make_token(kind)))
    alices_rows = await orm(lambda: everything_of("alice"))
    ids = [row["id"] for row in alices_rows if "pgh_id" not in row]
    for relation in RELATIONS:
        if (kind, relation) != ("service", "other"):
            for tool in TOOLS:
                await ask(caller, door, relation, tool, ids[0])
    assert await orm(lambda: everything_of("alice")) == alices_rows


def test_the_matrix_is_complete() -> None:
    assert all(set(cells) == set(RELATIONS) for cells in EXPECTED.values())
    assert len(EXPECTED) * len(RELATIONS) * len(TOOLS) * len(DOORS) == 9 * 7 * 5 * 5


@pytest.mark.parametrize("door", DOORS)
async def test_a_foreign_task_gets_the_same_answer_as_a_missing_one(
    as_service: Caller, cast: None, orm: Orm, door: str
) -> None:
    bob = Caller(as_service.http, await orm(lambda: issue_token(user_id="bob")))
    dana = await orm(lambda: UserFactory.create(id="dana").pk)
    deleted = await orm(lambda: TaskFactory.create(user_id="bob", deleted_at=timezone.now()).pk)
    theirs = await orm(lambda: TaskFactory.create(user_id=dana).pk)
    for tool in CHANGE:
        answers = [await send(bob, door, tool, arguments_of(tool, task_id)) for task_id in (1, theirs, deleted, 10**9)]
        envelopes = {
            str(answer.envelope).replace(f"Task {answer.envelope['message'].split()[1]} ", "Task N ")
            for answer in answers
        }
        assert len(envelopes) == 1, envelopes
        assert {answer.response.status_code for answer in answers} == {404 if door == "http" else 200}
