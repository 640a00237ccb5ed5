import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from conversations.retention import OLD_CONVERSATIONS
from tasks.quotas.thinning import OLD_VERSIONS, Thinning
from tasks.retention import DELETED_TASKS
from todo_mcp.auth.account.reset_mail import OLD_RESET_REQUESTS
from todo_mcp.auth.oauth.retention import (
    ENDED_REFRESH_TOKENS,
    OLD_CODES,
    UNUSED_CLIENTS,
    USED_ASSERTIONS,
    USED_CODES,
)
from todo_mcp.auth.rate_exchange import OLD_RATE_COUNTS
from todo_mcp.auth.retention import EXPIRED_TOKENS, OLD_ATTEMPTS, OLD_FAILURES, OLD_SESSIONS, OLD_SIGN_INS
from todo_mcp.auth.revocation import OLD_RECORDS
from todo_mcp.idempotency.services import EXPIRED_KEYS
from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.statistics.refused_calls import OLD_REFUSED_CALLS
from todo_mcp.statistics.services import OLD_STATISTICS
from todo_mcp.statistics.token_days import OLD_TOKEN_DAYS

PURGES: tuple[Purge | Thinning, ...] = (
    DELETED_TASKS,
    OLD_VERSIONS,
    OLD_CONVERSATIONS,
    EXPIRED_KEYS,
    OLD_CODES,
    USED_CODES,
    USED_ASSERTIONS,
    ENDED_REFRESH_TOKENS,
    EXPIRED_TOKENS,
    UNUSED_CLIENTS,  # after their tokens
    OLD_SESSIONS,
    OLD_RESET_REQUESTS,
    OLD_ATTEMPTS,
    OLD_FAILURES,
    OLD_SIGN_INS,
    OLD_STATISTICS,
    OLD_REFUSED_CALLS,
    OLD_TOKEN_DAYS,
    OLD_RECORDS,
    OLD_RATE_COUNTS,
)

# What else keeps tables from growing for ever. A new table needs a Purge above or a line here, and its name in
# docs/security.md.
BOUNDS = {
    "users": "operators and the configured issuers of JWTs make users",
    "tasks": "the quotas of their user",
    "task_events": "the quotas of their user",
    "task_tags": "10 rows for each task that is not deleted",
    "conversations": "the quotas of their user",
    "messages": "the quotas of their user",
    "user_usage": "one row for each user",
    "reset_requests": "1,000 rows",
    "django_admin_log": "operators write it, by hand",
    "log_subjects": "at most one row for each of django_admin_log",
    "users_groups": "operators write it, by hand",
    "users_user_permissions": "operators write it, by hand",
    "auth_group": "operators write it, by hand",
    "auth_group_permissions": "operators write it, by hand",
    "auth_permission": "only migrations write it",
    "django_content_type": "only migrations write it",
    "django_migrations": "only migrations write it",
    "oauth2_provider_devicegrant": "nothing writes it: there is no device flow",
    "oauth2_provider_idtoken": "nothing writes it: there is no OpenID Connect",
    "pghistory_context": "nothing writes it: each version holds its own context",
}


class Command(BaseCommand):
    help = (
        "Remove expired data: tasks deleted more than 30 days ago with their history, versions of tasks "
        "older than 30 days except the last of each day, conversations inactive for "
        "CONVERSATION_DAYS (0 keeps them), idempotency keys older than 24 hours, expired tokens and sessions, "
        "records of authorization codes used more than 7 days ago and of identity assertions that have ended, "
        "clients that registered themselves and were not used for 30 days, wrong passwords a day after they stopped "
        "counting, requests for a new password older than a day, lines of refused calls older than 7 days, the log of "
        "sign-ins and call statistics (in all and of each token) older than 90 days, records of tokens that were "
        "revoked more than a year ago, and counts of calls older than 2 minutes. "
        "It removes batches of 1,000, so no lock lasts long and the server may run meanwhile. Run it daily."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="report what would be removed, and remove nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        for purge in PURGES:
            due = purge.count()
            if options["dry_run"]:
                self.stdout.write(f"Would remove {due:,} {purge.name}.")
                continue
            removed = 0
            with tqdm(total=due, desc=purge.name, unit="", leave=False, file=sys.stderr, disable=None) as bar:
                for batch in purge.run():
                    removed += batch
                    bar.update(batch)
            self.stdout.write(f"Removed {removed:,} {purge.name}.")
