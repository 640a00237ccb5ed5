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
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"todo-mcp: {error}")
    except OperationalError as error:
        reason = " ".join(str(error).split())
        sys.exit(f"todo-mcp: The database is out of reach. Check DATABASE_URL and that PostgreSQL is running: {reason}")


if __name__ == "__main__":
    main()
