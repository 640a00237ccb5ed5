#!/usr/bin/env python
"""Django's command line for this project: `manage.py help` lists the commands."""

import os
import sys
from importlib import import_module

SETTINGS = "todo_mcp.settings"


def settings_problem(module: str) -> str:
    """Why this cannot be the module of the settings, or "". Another one may build on ours."""
    from django.core.exceptions import ImproperlyConfigured

    try:
        return "" if "tasks" in getattr(import_module(module), "INSTALLED_APPS", ()) else "has other settings"
    except ImproperlyConfigured:
        raise
    except ModuleNotFoundError as error:
        return "does not exist" if f"{module}.".startswith(f"{error.name}.") else f"cannot be imported ({error})"
    except Exception as error:  # a module of another program may raise anything
        return f"cannot be imported ({type(error).__name__})"


def main() -> None:
    module = os.environ["DJANGO_SETTINGS_MODULE"] = os.environ.get("DJANGO_SETTINGS_MODULE") or SETTINGS
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import Error
    except ImportError:
        sys.exit("todo-mcp: Django is not installed for this Python. Run `make install`, then use .venv/bin/python.")
    if sys.stdin is None:  # closed, as by `<&-`; a question then finds its end instead of nothing
        sys.stdin = open(os.devnull)  # noqa: SIM115 (for the whole process)
    try:
        if module != SETTINGS and (problem := settings_problem(module)):
            sys.exit(f"todo-mcp: DJANGO_SETTINGS_MODULE is {module!r}, which {problem}; set it to {SETTINGS}.")
        execute_from_command_line(sys.argv)
    except EOFError:
        print(file=sys.stderr)  # the question has no line end
        sys.exit("todo-mcp: This command asks a question, and nobody answered. Run it at a terminal, or see its help.")
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports it; the person at the terminal knows why
    except ImproperlyConfigured as error:
        sys.exit(f"todo-mcp: {error}")
    except Error as error:
        from todo_mcp.process.commands import database_problem

        if not (problem := database_problem(error)):
            raise
        sys.exit(f"todo-mcp: {problem}")


if __name__ == "__main__":
    main()
