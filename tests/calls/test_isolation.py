"""The matrix of tools, kinds of token, relations to the user and doors; the answers, copied from the contract by hand.

Alice owns the tasks that are aimed at in the relations ``other`` and ``hers``; Bob is whom the tokens are for.
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
from todo_mcp.auth.tokens import issue_token, revoke_token
from todo_mcp.users.models import User
from todo_mcp.users.services import set_active

pytestmark = pytest.mark.anyio

READ, ADD, CHANGE = "list_tasks", "add_task", ("complete_task", "update_task", "delete_task")
TOOLS = (READ, ADD, *CHANGE)

# What is sent as user_id, and whose task is aimed at.
RELATIONS: dict[str, tuple[str | None, str]] = {
    "own": ("bob", "bob"),
    "me": ("me", "bob"),
    "omitted": (None, "bob"),
    "other": ("alice", "alice"),
    "missing": ("no-one", "alice"),
    "hers": (None, "alice"),
    "hers, named": ("bob", "alice"),
}

# The code of the answer to (list_tasks, add_task, each tool that changes a task).
Cells = dict[str, tuple[int, int, int]]
OK, BAD, UNAUTHENTICATED, FORBIDDEN, MISSING = 200, 400, 401, 403, 404
NOTHING: Cells = dict.fromkeys(RELATIONS, (UNAUTHENTICATED,) * 3)
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
        "other": (OK, OK, OK),  # that is what a service is for
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
    "expired": NOTHING,
    "revoked": NOTHING,
    "deactivated user's": NOTHING,
    "never issued": NOTHING,
}


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
        assert revoke_token(token_id=AccessToken.objects.get().pk)
    if kind == "deactivated user's":
        set_active(user_id="bob", active=False)
    return token


def expected_of(kind: str, relation: str, tool: str) -> int:
    read, add, change = EXPECTED[kind][relation]
    return {READ: read, ADD: add}.get(tool, change)


def make_targets() -> dict[tuple[str, str], int]:
    """A task for each cell to aim at."""
    cells = [(relation, tool) for relation in RELATIONS for tool in TOOLS]
    owners = [RELATIONS[relation][1] for relation, _ in cells]
    made = Task.objects.bulk_create([Task(user_id=owner, title="Aimed at") for owner in owners])
    return {cell: task.pk for cell, task in zip(cells, made, strict=True)}


async def ask(caller: Caller, door: str, relation: str, tool: str, task_id: int) -> Answer:
    user_id, _ = RELATIONS[relation]
    named = {} if user_id is None else {"user_id": user_id}
    return await send(caller, door, tool, {**arguments_of(tool, task_id), **named})


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
    hers = {row["id"] for row in await orm(lambda: everything_of("alice"))}
    for (relation, tool), task_id in targets.items():
        answer = await ask(caller, door, relation, tool, task_id)
        cell = f"{kind}, {relation}, {tool}"
        assert answer.code == expected_of(kind, relation, tool), (cell, answer.envelope)
        assert (kind, relation) == ("service", "other") or not shown_in(answer) & hers, cell


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", EXPECTED)
async def test_no_cell_but_the_services_own_changes_anything_of_alices(
    as_service: Caller, cast: None, orm: Orm, door: str, kind: str
) -> None:
    await orm(lambda: AccessToken.objects.all().delete())
    caller = Caller(as_service.http, await orm(lambda: make_token(kind)))
    hers = await orm(lambda: everything_of("alice"))
    ids = [row["id"] for row in hers if "pgh_id" not in row]
    for relation in RELATIONS:
        if (kind, relation) != ("service", "other"):
            for tool in TOOLS:
                await ask(caller, door, relation, tool, ids[0])
    assert await orm(lambda: everything_of("alice")) == hers


def test_the_matrix_has_no_hole() -> None:
    assert all(set(cells) == set(RELATIONS) for cells in EXPECTED.values())
    assert len(EXPECTED) * len(RELATIONS) * len(TOOLS) * len(DOORS) == 9 * 7 * 5 * 5


@pytest.mark.parametrize("door", DOORS)
async def test_a_foreign_task_is_answered_in_the_words_of_a_missing_one(
    as_service: Caller, cast: None, orm: Orm, door: str
) -> None:
    bob = Caller(as_service.http, await orm(lambda: issue_token(user_id="bob")))
    dana = await orm(lambda: UserFactory.create(id="dana").pk)
    deleted = await orm(lambda: TaskFactory.create(user_id="bob", deleted_at=timezone.now()).pk)
    theirs = await orm(lambda: TaskFactory.create(user_id=dana).pk)
    for tool in CHANGE:
        answers = [await send(bob, door, tool, arguments_of(tool, task_id)) for task_id in (1, theirs, deleted, 10**9)]
        told = {str(answer.envelope).replace(str(answer.envelope["message"].split()[2]), "N") for answer in answers}
        assert len(told) == 1, told
        assert {answer.response.status_code for answer in answers} == {404 if door == "http" else 200}
