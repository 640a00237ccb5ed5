"""``make bench-admin``: times the admin's main pages with a big service's year. Prints each page's queries and time.

The time is that of the whole request in the server, from the first middleware to the rendered page, without a network.
"""

import os
import statistics
import sys
import time
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "todo_mcp.settings")
django.setup(set_prefix=False)

from django.core.management import call_command  # noqa: E402 (needs django.setup)
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from tests.benchmarks.fill import FIRST_REVOKED, fill  # noqa: E402
from todo_mcp.users.models import User  # noqa: E402

ROUNDS = 15
OPERATOR = "operator"


def prepare() -> None:
    """Migrate the database of the settings, and fill it if it is empty. Stop if it has other data."""
    call_command("migrate", verbosity=0)
    if not User.objects.exists():
        fill(lambda line: print(line, file=sys.stderr))
        User.objects.create_superuser(OPERATOR)
    if not User.objects.filter(pk="user-7").exists():
        sys.exit("This database is in use. Name an empty one with DATABASE_URL or TODO_DATA_DIR.")


def pages() -> dict[str, str]:
    """The measured pages, by name."""
    tasks, conversations = "/admin/tasks/task/", "/admin/conversations/conversation/"
    half_a_year_ago = timezone.now() - timedelta(days=182)
    activity = "/admin/tasks/taskevent/"
    tokens, clients = "/admin/oauth2_provider/accesstoken/", "/admin/oauth2_provider/application/"
    first_day = timezone.now().date() - timedelta(days=14)
    week = f"updated_at_from={first_day}&updated_at_to={first_day + timedelta(days=6)}"
    calls = "/admin/statistics/callstatistics/"
    return {
        "first page": "/admin/",
        "task list": tasks,
        "task list of a user": f"{tasks}?user=user-7",
        "task": f"{tasks}77/change/",
        "activity": activity,
        "activity of a user": f"{activity}?user=user-7",
        "activity of a client that is rare": f"{activity}?client=rare",
        "activity of a client, half a year ago": f"{activity}?client=client-7&to={half_a_year_ago:%Y-%m-%dT%H:%M}",
        "activity, changed titles, of which there are none": f"{activity}?change=title",
        "undo, 100 calls of a user": f"{activity}undo/?user=user-7&all=yes",
        "find a rare word": "/admin/find/?q=xylophone",
        "find the commonest word": "/admin/find/?q=balin",
        "find a user": "/admin/find/?q=user-77",
        "find a request": "/admin/find/?q=c4ca4238a0b923820dcc509a6f75849b",
        "conversation list": conversations,
        "search, a rare word": f"{conversations}?q=xylophone",
        "search, the commonest word": f"{conversations}?q=balin",
        "search, a middling word": f"{conversations}?q=tus",
        "search, a common word of a user": f"{conversations}?q=balin&user=user-7",
        "search, a word in messages of a week": f"{conversations}?q=balin&role=assistant&{week}",
        "transcript, 10,000 messages": f"{conversations}1/change/",
        "transcript, an earlier page": f"{conversations}1/change/?before=500000",
        "transcript, a word in 200 messages": f"{conversations}1/change/?q=tus",
        "transcript, a word in 9,400 messages": f"{conversations}1/change/?q=balin",
        "transcript, next match": f"{conversations}1/change/?q=balin&at=500001",
        "transcript, 20 items of 250 kB": f"{conversations}2/change/",
        "user": "/admin/users/user/user-7/change/",
        "user list": "/admin/users/user/",
        "token list": f"{tokens}",
        "token list, valid": f"{tokens}?state=valid",
        "token list of a client": f"{tokens}?client=1",
        "token": f"{tokens}1/change/",
        "revoked token": f"{tokens}{FIRST_REVOKED}/change/",
        "revoked token list": "/admin/access/revokedtoken/",
        "OAuth client list": clients,
        "OAuth client, 10,000 users": f"{clients}1/change/",
        "connection": f"{clients}1/users/user-7/",
        "calls of today": calls,
        "calls of 7 days": f"{calls}?span=7d",
        "calls of 30 days": f"{calls}?span=30d",
        "calls, the errors of 7 days": f"{calls}?span=7d&outcome=errors",
        "calls, a wrong field": f"{calls}?span=7d&field=due",
        "calls, the last lines": f"{calls}?span=7d&page=9999",
    }


def measure() -> None:
    """One line for each page."""
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(pk=OPERATOR), backend="django.contrib.auth.backends.ModelBackend")
    print(f"{'page':40}{'queries':>8}{'median ms':>11}{'worst ms':>10}")
    for name, url in pages().items():
        client.get(url)  # fills the caches of the process
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200, url
        query_count, times = len(queries), []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            client.get(url)
            times.append(1000 * (time.perf_counter() - started))
        print(f"{name:40}{query_count:8}{statistics.median(times):11.0f}{max(times):10.0f}", flush=True)


if __name__ == "__main__":
    prepare()
    measure()
