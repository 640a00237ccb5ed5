"""Runs the lines of the shell blocks of docs/operating.md in one shell: `make operating` all of them, in order.

`make test` runs those up to the restore, because all take a minute or two.

The paths, the port, the address of the database and the moment of the recovery are replaced. The checkout has two
releases: v0.1.0 is this one, and v0.2.0 has one more migration. In place of systemd and of another account, STANDINS
run the commands of the units.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import previous_release
from tests.support.manage import NEUTRAL, UNSET
from tests.support.postgres import start
from tests.support.processes import free_port, scratch
from tests.support.server_process import ROOT, environment_with
from todo_mcp.postgres.embedded.cluster import Cluster
from todo_mcp.postgres.embedded.programs import find_programs

PAGE = (ROOT / "docs/operating.md").read_text()
SECTIONS = re.split(r"^## (.*)\n", PAGE, flags=re.MULTILINE)
SECONDS = 600
EVERYTHING = os.environ.get("TODO_TEST_OPERATING") == "all"
MISSING = [program for program in ("bash", "curl", "git") if shutil.which(program) is None]
QUICK = ("Daily backups", "Restoring")
MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("users", "{last}")]
    operations = [migrations.AddField("user", "nickname", models.CharField(max_length=50, db_default=""))]
"""
# What the test adds to the sections. `tasks` prints the titles of all tasks.
HELPERS = """
set -e
tasks() {
  .venv/bin/python manage.py call list_tasks '{}' --user alice | grep -o 'Task [A-Z]' | sort | tr -d '\\n'
}
add() { .venv/bin/python manage.py call add_task "{\\"title\\": \\"Task $1\\"}" --user alice > /dev/null; }
expect() { [ "$1" = "$2" ] || { echo "$3: expected $1, but there is $2"; exit 1; }; }
status() {
  curl -s -o /dev/null -w '%{http_code}' -d '{}' -H "Authorization: Bearer $TOKEN" \\
    http://localhost:5000/api/tools/list_tasks
}
"""
AFTER = {
    "Where the data are": "",
    "Daily backups": "add B",
    "Restoring": "expect 'Task A' \"$(tasks)\" restored; expect 200 $(status) 'the old token'; rm -r .data.lost",
    "To a moment: point-in-time recovery": "expect 'Task ATask C' \"$(tasks)\" recovered",
    "A new release": "expect 200 $(status) 'the new release'",
    "Back to the release before": "test -s /var/backups/todo/before-0.2.0.tar",
    "Another PostgreSQL": "expect 'Task ATask C' \"$(tasks)\" 'after the upgrade'",
    "To your own PostgreSQL": "expect 'Task ATask CTask E' \"$(tasks)\" 'back in the embedded one'",
    "Another machine": "expect 'Task ATask CTask E' \"$(tasks)\" moved",
    "As a service": "expect 'Task ATask CTask E' \"$(tasks)\" moved; expect 200 $(status) 'the old token'; stop",
    "When the disk is full": "",
}
INSIDE = {  # after the line that begins so
    "start run\nmkdir": "start run\nTOKEN=$(cat .data/token)\nadd A\nmkdir",
    "\ncp -a .data/postgres.lost": "\n[ -e .data/postgres.lost ]\ncp -a .data/postgres.lost",
    "-D /var/backups/todo-base\n": "-D /var/backups/todo-base\nadd C\nsleep 0.1\n"
    "date -u '+%F %T.%6N+00' > /moment\nadd D\n",
    "'2026-11-27 12:00:00+00'": "'$(cat /moment)'",
    "\nstart serve\n": "\nstart serve\nexpect 200 $(status) 'your own PostgreSQL'\nadd E\n",
    "cd /srv/todo-mcp\nstart serve --workers 2\nstop": "cd /srv/todo-mcp\nstart serve --workers 2\n"
    "expect 200 $(status) 'the release before'\nstop",
}
# Programs by name. `systemctl` runs what the installed units run. After `enable`, the night comes at once.
STANDINS = {
    "make-install": "ln -s {environment} .venv",  # for PYTHON of `make install`
    "useradd": "mkdir -p {machine}/var/lib/todo-mcp {machine}/units",
    "chown": "",
    "chgrp": "",
    "runuser": 'shift 3; exec "$@"',
    "systemctl": """
        cd {machine}/srv/todo-mcp
        values() {{ sed -n "s/^$2=//p" {machine}/units/$1; }}
        start() {{
          sh -ec "$(values todo-mcp.service ExecStartPre)" || exit 1
          nohup $(values todo-mcp.service ExecStart) >> server.log 2>&1 & echo $! > server.pid
          until curl -fs -o /dev/null http://localhost:{port}/readyz; do kill -0 $! || exit 1; sleep 0.2; done
        }}
        case $1 in
          stop) kill $(cat server.pid); while kill -0 $(cat server.pid) 2> /dev/null; do sleep 0.2; done ;;
          start) start ;;
          enable)
            sed -i 's#/srv/#{machine}/srv/#g; s#/var/backups/#{machine}/backups/#g; s/%%/%/g' {machine}/units/*
            start
            rm {machine}/backups/todo/20*.tar
            sh -ec "$(values todo-mcp-daily.service ExecStart)" ;;
        esac
    """,
}


def script() -> str:
    """The page as one shell script, with the checks of this test."""
    parts = [HELPERS, *blocks(SECTIONS[0])]
    titles = SECTIONS[1::2]
    assert titles == list(AFTER), "each section of the page has its check"
    for title, text in zip(titles, SECTIONS[2::2], strict=True):
        if EVERYTHING or title in QUICK:
            parts += [f"echo '## {title}'", *blocks(text), AFTER[title]]
    if not EVERYTHING:
        parts.append("stop")
    whole = "\n".join(parts)
    for place, replacement in INSIDE.items():
        assert whole.count(place) == 1 or not EVERYTHING, place
        whole = whole.replace(place, replacement)
    return whole


def blocks(text: str) -> Iterator[str]:
    for kind, block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        assert kind in ("sh", "cron"), f"no test runs a block of {kind}"
        # cron runs the part after five fields, with a percent sign for each escaped one.
        yield block if kind == "sh" else f"sh -c '{cron_command(block)}'"


def cron_command(line: str) -> str:
    return line.split(maxsplit=5)[5].strip().replace("\\%", "%").replace("'", "'\\''")


def git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


def files() -> list[str]:
    """The files of this checkout. A tar ball has only these, and what programs have made since."""
    if not previous_release.is_repository():
        made = re.compile(r"(^|/)(\.(git|venv|data|env|\w+_cache)|__pycache__|node_modules)(/|$)")
        names = (str(path.relative_to(ROOT)) for path in ROOT.rglob("*"))
        return [name for name in names if not made.search(name)]
    listed = ["git", "ls-files", "-co", "--exclude-standard"]
    return subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def make_releases(origin: Path) -> None:
    """A repository with this checkout as v0.1.0, and as v0.2.0 with one more migration."""
    for name in files():
        if (ROOT / name).is_file() and not name.startswith((".venv", "tests/")):
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, origin / name)
    git(origin, "init", "-q")
    git(origin, "add", "--force", ".")
    git(origin, "commit", "-qm", "0.1.0")
    git(origin, "tag", "v0.1.0")
    migrations = origin / "todo_mcp/users/migrations"
    last = max(path.stem for path in migrations.glob("0*.py"))
    (migrations / "9999_nickname.py").write_text(MIGRATION.format(last=last))
    git(origin, "add", "--force", ".")
    git(origin, "commit", "-qm", "0.2.0")
    git(origin, "tag", "v0.2.0")


@pytest.fixture
def machine() -> Iterator[Path]:
    with scratch() as directory:
        yield directory
        for pgdata in directory.glob("srv/**/.data/postgres"):
            if (pgdata / "postmaster.pid").exists():
                Cluster(pgdata).stop()


@pytest.mark.skipif(bool(MISSING), reason=f"the page needs programs that are not installed: {MISSING}")
def test_every_line_of_the_page_does_what_it_says(machine: Path) -> None:
    for name in ("origin", "srv/new", "backups", "tmp", "programs"):
        (machine / name).mkdir(parents=True)
        (machine / name).chmod(0o755)
    (machine / "srv").chmod(0o755)
    make_releases(machine / "origin")
    git(machine, "clone", "-q", "--branch", "v0.1.0", str(machine / "origin"), "srv/todo-mcp")
    environment = Path(sys.executable).parents[1]
    (machine / "srv/todo-mcp/.venv").symlink_to(environment)
    (machine / "srv/todo-mcp/.env").touch()
    port = free_port()
    for name, text in STANDINS.items():
        program = machine / "programs" / name
        program.write_text("#!/bin/sh\n" + text.format(environment=environment, machine=machine, port=port))
        program.chmod(0o755)
    server = start(machine / "own", 18)
    url = server.get_uri().partition("?")
    replaced = {
        "/srv/": f"{machine}/srv/",
        "/var/backups/": f"{machine}/backups/",
        "/var/tmp/": f"{machine}/tmp/",
        "/var/lib/": f"{machine}/var/lib/",
        "/etc/systemd/system/": f"{machine}/units/",
        "/moment": f"{machine}/moment",
        "localhost:5000": f"localhost:{port}",
        "127.0.0.1:5000": f"127.0.0.1:{port}",
        "https://git.example.com/todo-mcp.git": str(machine / "origin"),
    }
    text = script()
    for before, after in replaced.items():
        assert before in text or not EVERYTHING, before
        text = text.replace(before, after)
    text, count = re.subn(
        r"postgresql://todo:…@db\.internal/(\w+)", rf"'{url[0].rpartition('/')[0]}/\1?{url[2]}'", text
    )
    assert count == (6 if EVERYTHING else 2)
    settings = {
        "MCP_SERVER_PORT": str(port),
        "PYTHON": str(machine / "programs/make-install"),
        "USER": "alice",
        "LOGNAME": "alice",
    }
    settings |= {"PATH": f"{find_programs()}:{machine}/programs:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
    try:
        result = subprocess.run(
            ["timeout", "--kill-after=10", str(SECONDS), "bash", "-c", text],
            cwd=machine,
            env=environment_with(settings, without=(*UNSET, *NEUTRAL, "TODO_DATA_DIR", "DJANGO_SETTINGS_MODULE")),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        for pid in machine.glob("srv/*/server.pid"):
            subprocess.run(["sh", "-c", f"kill $(cat {pid}) 2>/dev/null"])
        server.cleanup()
    assert result.returncode == 0, result.stdout[-4000:]
    kept = {path.name for path in (machine / "backups/todo").iterdir()}
    more = {"before-0.2.0.tar", "to-own.tar", "from-own.tar", "move.tar", "to-service.tar"}
    expected = {"first.tar"} | (more if EVERYTHING else set())
    assert expected < kept and len(kept) == len(expected) + 1, "and one that cron has made"
