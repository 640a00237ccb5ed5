import pytest
from django.db import connection
from tests.conftest import Caller, REVISIONS
pytestmark = pytest.mark.anyio

@pytest.mark.parametrize("door", ["http", *REVISIONS])
async def test_a_task_can_be_added_and_listed(as_alice: Caller, as_bob: Caller, door: str) -> None:
    added = await as_alice.call(door, "add_task", title="Buy milk")
    assert added["status"] == "success"
    listed = await as_alice.call(door, "list_tasks")
    assert [t["task_id"] for t in listed["data"]["tasks"]] == [added["data"]["task_id"]]
    assert (await as_bob.call(door, "list_tasks"))["data"]["total"] == 0
