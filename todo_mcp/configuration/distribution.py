"""Checkout or installed wheel? The two have other directories, and messages name commands differently.

A wheel keeps nothing beside its code, because that directory may be read-only, and an upgrade replaces it. It reads no
file of the current directory either, which may belong to another project.
"""

from pathlib import Path

import platformdirs

NAME = "todo-mcp"
ROOT = Path(__file__).resolve().parents[2]  # of a checkout; of a wheel, the directory of all packages
IS_CHECKOUT = (ROOT / "scripts" / "install.py").is_file()  # what `make` runs first; a wheel does not have it


def command(words: str, *, to_paste: bool = False) -> str:
    """How messages name a command: ``manage.py migrate`` in a checkout, otherwise ``todo-mcp migrate``.

    ``to_paste`` adds the Python of the checkout, so that a shell in its directory can run the text.
    """
    of_checkout = ".venv/bin/python manage.py" if to_paste else "manage.py"
    return f"{of_checkout if IS_CHECKOUT else NAME} {words}"


def settings_file() -> Path:
    """The file with settings, which need not exist."""
    return ROOT / ".env" if IS_CHECKOUT else platformdirs.user_config_path(NAME) / ".env"


def data_directory() -> str:
    """The default of TODO_DATA_DIR. In a checkout it is relative."""
    return ".data" if IS_CHECKOUT else platformdirs.user_data_dir(NAME)


def base_directory() -> Path:
    """Where a relative TODO_DATA_DIR starts."""
    return ROOT if IS_CHECKOUT else Path()  # the current directory
