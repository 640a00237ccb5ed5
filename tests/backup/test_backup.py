"""What a backup file is: private, complete, of one moment, and never half written."""

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management.base import CommandError
from pytest_django.fixtures import Settings

from tests.backup.machine import Machine, members
from tests.support.server_process import manage_command
from todo_mcp.backup import archive
from todo_mcp.backup.making import back_up
from todo_mcp.backup.restoring import restore


def test_a_backup_has_the_dump_the_version_and_the_secrets_of_the_data_directory(
    filled: Machine, backup_file: Path
) -> None:
    content = members(backup_file)
    assert list(content) == ["manifest.json", "database.dump", "secret_key", "token", "SHA256SUMS"]
    manifest = json.loads(content["manifest.json"])
    assert (manifest["version"], manifest["postgresql"], manifest["database"]) == ("0.1.0", 18, "todo_mcp")
    assert manifest["tables"]["tasks"][0] == 20
    assert ["tasks", "0001_initial"] in manifest["migrations"]
    assert content["token"].decode() == filled.secrets()["token"]
    assert content["database.dump"].startswith(b"PGDMP")


def test_other_programs_can_check_a_backup(backup_file: Path, tmp_path: Path) -> None:
    command = f"tar -xf {backup_file} && sha256sum --strict -c SHA256SUMS && pg_restore --list database.dump"
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert "token: OK" in result.stdout
    assert "unsupported version" in result.stderr or "TABLE public tasks" in result.stdout


def test_only_its_owner_can_read_it_from_the_first_byte_whatever_the_umask(filled: Machine, tmp_path: Path) -> None:
    """The shell looks at the files while they grow."""
    look = "while kill -0 $1 2>/dev/null; do stat -c %a .*.partial *.tar 2>/dev/null; done"
    command = f'umask 000; "$@" & set -- $!; {look}; wait $1'
    run = ["sh", "-c", command, "sh", *manage_command("backup", tmp_path / "x.tar")]
    result = subprocess.run(run, cwd=tmp_path, env=filled.environment, capture_output=True, text=True)
    modes = {line for line in result.stdout.splitlines() if line.isdigit()}
    assert (result.returncode, modes) == (0, {"600"}), result.stderr
    assert stat.S_IMODE((tmp_path / "x.tar").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["x.tar"]


@pytest.mark.parametrize("existing", ["file", "directory", "link"])
def test_nothing_is_replaced(tmp_path: Path, existing: str) -> None:
    path = tmp_path / "x.tar"
    if existing == "file":
        path.write_text("precious")
    elif existing == "directory":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(CommandError, match=f"{path} exists. Choose another name"), archive.new_file(path):
        pass
    assert os.listdir(tmp_path) == ["x.tar"]


def test_a_full_disk_leaves_no_file(filled: Machine, tmp_path: Path) -> None:
    """A limit of the shell on the size of files stands for the disk."""
    limited = ["sh", "-c", 'ulimit -f 20; exec "$@"', "sh", *manage_command("backup", tmp_path / "x.tar")]
    result = subprocess.run(limited, env=filled.environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "cannot be written" in result.stderr and "There is no backup." in result.stderr
    assert os.listdir(tmp_path) == []


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file or directory"), archive.new_file(tmp_path / "none" / "x.tar"):
        pass


def test_a_database_without_our_tables_is_not_backed_up(fresh: Machine, tmp_path: Path) -> None:
    assert "no tables of todo-mcp" in fresh.refusal("backup", tmp_path / "x.tar")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("command", [back_up, restore])
def test_a_pooler_in_transaction_mode_is_refused(
    command: Callable[[Path], object], settings: Settings, tmp_path: Path
) -> None:
    settings.TRANSACTION_POOLING = True
    with pytest.raises(CommandError, match="needs PostgreSQL itself"):
        command(tmp_path / "x.tar")
