"""The programs of docs/chat-sdks.md run as they are. Only the model is a scripted one, and the user is the test's."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.examples.parrot import question, texts
from tests.support.processes import PATIENCE
from tests.support.server_process import ROOT, Database, ServerProcess

PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/chat-sdks.md").read_text(), re.DOTALL)
WITH_A_SCRIPTED_MODEL = """
import runpy, sys
from agents import set_tracing_disabled
from agents.models.multi_provider import MultiProvider
from agents.testing import ScriptedModel, assistant_message

set_tracing_disabled(True)
model = ScriptedModel([[assistant_message("330 m.")], [assistant_message("1,083 feet.")]])
MultiProvider.get_model = lambda *_: model
runpy.run_path(sys.argv[1])
print([len(call.input) for call in model.calls])
"""


def program(adapter: str, directory: Path, user: str) -> Path:
    """The file with the program that uses this adapter, for this user."""
    (text,) = (program for program in PROGRAMS if adapter in program)
    path = directory / "program.py"
    path.write_text(text.replace("alice", user))
    return path


def test_the_agent_answers_twice_and_knows_its_first_answer(
    server: ServerProcess, database: Database, token: str, user: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WITH_A_SCRIPTED_MODEL, str(program("agents_session", tmp_path, user))]
    environment = database.environment(TODO_URL=server.url, TODO_TOKEN=token)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert (result.returncode, result.stdout) == (0, "330 m.\n1,083 feet.\n[1, 3]\n"), result.stderr


@pytest.mark.anyio
async def test_the_chatkit_server_answers_over_http(
    server: ServerProcess, token: str, user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TODO_URL", server.url)
    monkeypatch.setenv("TODO_TOKEN", token)
    names = runpy.run_path(str(program("chatkit_store", tmp_path, user)))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(names["app"]), base_url="http://chat") as http:

        async def ask(kind: str, **params: Any) -> str:
            return (await http.post("/chatkit", json={"type": kind, "params": params})).text

        events = await ask("threads.create", input=question("Hello"))
        thread_id = json.loads(events.split("\n\n")[0].removeprefix("data: "))["thread"]["id"]
        thread = json.loads(await ask("threads.get_by_id", thread_id=thread_id))
    await names["assistant"].store.todo.http.aclose()
    assert (thread["title"], texts(thread["items"])) == ("A new chat", ["Hello", "Done. Anything else?"])
