"""No table grows for ever: each has a retention, which `manage.py purge` enforces, or a bound."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application
from oauth2_provider.settings import oauth2_settings
from pytest_django.fixtures import Settings

from tasks.models import Task
from tests.operators.user_rows import counts, fill, tables
from todo_mcp.auth.models import RateCount, RevokedToken, UsedAssertion, UsedCode
from todo_mcp.management.commands.purge import BOUNDS, PURGES
from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.statistics.models import CallStatistics
from todo_mcp.users.models import User

IN_A_YEAR = timezone.now() + timedelta(days=365)
UNWRITTEN = {table for table, bound in BOUNDS.items() if bound.startswith("nothing writes it")}


def retained() -> set[str]:
    return {table for purge in PURGES if isinstance(purge, Purge) for table in purge.tables}


def test_every_table_has_a_retention_or_a_bound(db: None) -> None:
    assert set(tables()) - retained() - set(BOUNDS) == set(), "see BOUNDS in management/commands/purge.py"


def test_every_declared_table_exists(db: None) -> None:
    assert (retained() | set(BOUNDS)) - set(tables()) == set()


def test_the_document_lists_every_table(db: None, settings: Settings) -> None:
    text = (
        Path(settings.BASE_DIR, "docs/security.md").read_text().split("<!-- growth -->")[1].split("<!-- /growth -->")[0]
    )
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(tables())


@pytest.fixture
def rows_of_all_tables(committed: None, alice: User, operator: User) -> None:
    """Rows in every table. Tasks are deleted, tokens end, and clients registered themselves."""
    fill(alice, operator)
    Task.objects.update(deleted_at=timezone.now())
    AccessToken.objects.update(expires=timezone.now() + timedelta(days=1))
    Application.objects.update(registration_source=Application.RegistrationSource.DCR)
    RevokedToken.objects.update(revoked_at=timezone.now() - timedelta(days=1))
    UsedCode.objects.create(checksum="x")
    UsedAssertion.objects.create(checksum="x", issuer="https://idp.example.com", kept_until=timezone.now())
    RateCount.objects.create(worker=1, round=1, key=1, calls=1, at=timezone.now())
    numbers: dict[str, Any] = {"calls": 1, "milliseconds_total": 1.0, "milliseconds_max": 1.0}
    CallStatistics.objects.create(hour=timezone.now(), tool="add_task", outcome="success", transport="mcp", **numbers)


def test_a_year_later_purge_leaves_no_row_of_the_tables_with_a_retention(
    rows_of_all_tables: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CONVERSATION_DAYS = 7
    before = counts()
    assert {table for table in retained() if not before[table]} == set()
    monkeypatch.setattr(timezone, "now", lambda: IN_A_YEAR)
    call_command("purge", verbosity=0)
    after = counts()
    assert {table: after[table] for table in retained() if after[table]} == {}


def test_nothing_writes_the_tables_of_which_the_declaration_says_so(db: None, alice: User) -> None:
    assert {"oauth2_provider_devicegrant", "oauth2_provider_idtoken", "pghistory_context"} == UNWRITTEN
    assert not oauth2_settings.OIDC_ENABLED
    for name in ("device", "device-authorization", "device-confirm"):
        with pytest.raises(NoReverseMatch):
            reverse(f"oauth2_provider:{name}")


def test_each_version_holds_its_own_context(rows_of_all_tables: None) -> None:
    assert counts()["task_events"] and not counts()["pghistory_context"]
