"""compose.yaml fits the published schema, publishes one port, and has no default for a secret."""

import re
import subprocess
import sys

from tests.support.server_process import ROOT

FILE = ROOT / "compose.yaml"
TEXT = FILE.read_text()


def test_the_file_fits_the_published_schema() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    result = subprocess.run(check, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_only_the_server_has_a_port_and_by_default_only_this_machine_reaches_it() -> None:
    assert re.findall(r"^ *ports: .*", TEXT, re.MULTILINE) == ['    ports: ["${LISTEN:-127.0.0.1:5000}:5000"]']


def test_a_secret_has_no_default_and_a_sentence_for_compose_to_stop_with() -> None:
    variables = set(re.findall(r"\$\{(\w+)(:\?write \1=… into \.env)?", TEXT))
    message = ":?write {}=… into .env"
    secrets = {(name, message.format(name)) for name in ("POSTGRES_PASSWORD", "SECRET_KEY")}
    assert variables == {*secrets, ("LISTEN", "")}
