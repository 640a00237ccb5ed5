#!/usr/bin/env python
"""Django's command line for this project: `manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    module = os.environ["DJANGO_SETTINGS_MODULE"] = os.environ.get("DJANGO_SETTINGS_MODULE") or "todo_mcp.settings"
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import Error
    except ImportError:
        sys.exit("todo-mcp: Django is not installed for this Python. Run `make install`, then use .venv/bin/python.")
    if sys.stdin is None:  # closed, as by `<&-`; a question then finds its end instead of nothing
        sys.stdin = open(os.devnull)  # noqa: SIM115 (for the whole process)
    try:
        execute_from_command_line(sys.argv)
    except EOFError:
        print(file=sys.stderr)  # the question has no line end
        sys.exit("todo-mcp: This command asks a question, and nobody answered. Run it at a terminal, or see its help.")
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports it; the person at the terminal knows why
    except ImproperlyConfigured as error:
        sys.exit(f"todo-mcp: {error}")
    except ModuleNotFoundError as error:
        if f"{module}.".startswith(f"{error.name}."):
            sys.exit(
                f"todo-mcp: DJANGO_SETTINGS_MODULE is {module!r}, which does not exist; set it to todo_mcp.settings."
            )
        raise
    except Error as error:
        from todo_mcp.process.commands import database_problem

        if not (problem := database_problem(error)):
            raise
        sys.exit(f"todo-mcp: {problem}")


if __name__ == "__main__":
    main()
