"""Print for which platforms and Pythons every locked requirement has a wheel. It asks the package index.

The exit code is 1 if the result is not what docs/installing.md says.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# The names are those of uv. For musl, the embedded PostgreSQL has no wheel.
SUPPORTED = {
    "x86_64-manylinux_2_28": True,
    "aarch64-manylinux_2_28": True,
    "x86_64-apple-darwin": True,
    "aarch64-apple-darwin": True,
    "x86_64-unknown-linux-musl": False,
    "aarch64-unknown-linux-musl": False,
}


def has_wheels(platform: str, python: str, target: str) -> bool:
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--dry-run", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--python-platform", platform, "--python-version", python]
    command += ["--target", target, "--requirements", str(REQUIREMENTS)]
    result = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 (our own command)
    if result.returncode and "wheel" not in result.stderr:
        sys.exit(f"todo-mcp: the package index does not answer: {result.stderr.strip().splitlines()[-1]}")
    return result.returncode == 0


def main() -> None:
    print(f"{'':27}", *PYTHONS)
    differs = False
    with tempfile.TemporaryDirectory() as target:
        for platform, is_supported in SUPPORTED.items():
            found = [has_wheels(platform, python, target) for python in PYTHONS]
            print(f"{platform:27}", *("yes " if one else "no  " for one in found))
            differs |= any(one != is_supported for one in found)
    sys.exit(differs)


if __name__ == "__main__":
    main()
