"""Runs the commands of docs/chat-backend.md in a shell against a real server, and compares their answers."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.support.manage import Manage
from tests.support.server_process import ROOT
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

PAGE = ROOT / "docs" / "chat-backend.md"
# A test that is rolled back does not give the ids back that it used.
TABLES = ("conversations", "messages", "tasks")
FIRST_IDS = "; ".join(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1, false)" for table in TABLES)
EXAMPLES = re.findall(r"```sh\n(.*?)```\n\n```json\n(.*?)```", PAGE.read_text(), re.DOTALL)


def without_times(text: str) -> Any:
    return json.loads(re.sub(r'"20[0-9-]+T[0-9:.]+Z"', '"a time"', text))


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_every_command_of_the_page_gives_the_documented_answer(committed: None, tmp_path: Path, alice: User) -> None:
    token = issue_token(service="chat")
    with connection.cursor() as cursor:
        cursor.execute(FIRST_IDS)
    info = connection.connection.info
    url = f"postgresql://{info.user}@/{info.dbname}?host={info.host}&port={info.port}"
    server = Manage(tmp_path, "serve", DATABASE_URL=url).wait_ready()
    assert len(EXAMPLES) == PAGE.read_text().count("curl -sS") == 12
    try:
        for command, answer in EXAMPLES:
            result = subprocess.run(
                ["sh", "-c", command.replace("localhost:5000", f"localhost:{server.port}")],
                env=os.environ | {"TODO_TOKEN": token},
                capture_output=True,
                text=True,
                timeout=30,
            )
            assert result.returncode == 0, result.stderr
            assert without_times(result.stdout) == without_times(answer)
    finally:
        server.clean_up()
