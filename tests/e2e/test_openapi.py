"""The OpenAPI document, judged by programs that we did not write."""

import sys
from pathlib import Path

import httpx2

from tests.e2e.programs import run
from tests.support.server_process import ServerProcess

# Not among the requirements of the other tests: they bring 80 MB, rich among it.
_RUN = (sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from")
VALIDATOR = (*_RUN, "openapi-spec-validator==0.9.0", "openapi-spec-validator")
SCHEMATHESIS = (*_RUN, "schemathesis==4.32.5", "schemathesis")
# That a cursor is one of ours, that nothing is said twice and that one of two arguments is given, no schema can say.
UNSAID = "positive_data_acceptance"


def test_the_document_is_valid_openapi(server: ServerProcess, tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    answer = httpx2.get(f"{server.url}/api/schema", headers={"Accept": "application/json"})
    assert answer.status_code == 200
    document.write_text(answer.text)
    assert "OK" in run(*VALIDATOR, document)


def test_the_server_does_what_the_document_says(server: ServerProcess, token: str) -> None:
    printed = run(
        *(*SCHEMATHESIS, "run", f"{server.url}/api/schema"),
        *("--header", f"Authorization: Bearer {token}", "--header", "Accept: application/json"),
        *("--checks", "all", "--exclude-checks", UNSAID),
        *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "25", "--generation-deterministic"),
        seconds=600,
    )
    assert "Tested: 11" in printed
