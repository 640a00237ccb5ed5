"""The OpenAPI document, checked by third-party programs."""

import sys
from pathlib import Path

import httpx2

from tests.e2e.programs import run
from tests.support.server_process import ServerProcess

# Not in the requirements of the other tests, because they install 80 MB, including rich.
_RUN = (sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from")
VALIDATOR = (*_RUN, "openapi-spec-validator==0.9.0", "openapi-spec-validator")
SCHEMATHESIS = (*_RUN, "schemathesis==4.32.5", "schemathesis")
# No schema can require that the server issued a cursor, that no name is sent twice, or that one of two arguments is
# present. And null stands for an argument that is left out, but clients break on schemas with null.
NOT_IN_SCHEMA = "positive_data_acceptance,negative_data_rejection"


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
        *("--checks", "all", "--exclude-checks", NOT_IN_SCHEMA),
        *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "25", "--generation-deterministic"),
        seconds=600,
    )
    assert "Tested: 12" in printed, printed
