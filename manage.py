#!/usr/bin/env python
"""Django's command line for this project: `manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "todo_mcp.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import OperationalError
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
    except OperationalError as error:
        reason = " ".join(str(error).split())
        sys.exit(f"todo-mcp: The database is out of reach. Check DATABASE_URL and that PostgreSQL is running: {reason}")


if __name__ == "__main__":
    main()
