#!/usr/bin/env python
"""The command line of a checkout: `manage.py help` lists the commands. An installed wheel has it as `todo-mcp`."""

import importlib.util
import sys

if importlib.util.find_spec("django") is None:
    sys.exit("todo-mcp: Django is not installed for this Python. Run `make install`, then use .venv/bin/python.")

from todo_mcp.command_line import main

if __name__ == "__main__":
    main()
