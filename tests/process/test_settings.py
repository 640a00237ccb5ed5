"""Settings that are unsafe or wrong stop the start, with a message that names the setting and says what to do."""

import runpy

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.support.server_process import ROOT

SAFE = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "0123456789" * 5,
    "PUBLIC_URL": "https://todo.example.com",
    "DATABASE_URL": "postgresql://127.0.0.1:1/none",
}


def read_settings(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> dict[str, object]:
    for name in (*SAFE, "ALLOWED_HOSTS", "DATABASE_POOLER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "todo_mcp" / "settings.py"))


def test_production_starts_with_safe_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(monkeypatch, SAFE)
    assert (settings["PRODUCTION"], settings["ALLOWED_HOSTS"]) == (True, ["todo.example.com"])
    assert settings["SESSION_COOKIE_SECURE"] and settings["CSRF_COOKIE_SECURE"] and settings["SECURE_HSTS_SECONDS"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "0123456789" * 4),
        ("SECRET_KEY", f"development-{'0123456789' * 5}"),
        ("PUBLIC_URL", ""),
        ("PUBLIC_URL", "http://todo.example.com"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "todo.example.com,*"),
        ("DATABASE_URL", ""),
    ],
)
def test_production_does_not_start_with_an_unsafe_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    values = {**SAFE, name: value}
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} .*; (set it to|name the hosts) "):
        read_settings(monkeypatch, {name: value for name, value in values.items() if value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "staging"),
        ("LOG_LEVEL", "TRACE"),
        ("MCP_SERVER_PORT", "0"),
        ("MCP_SERVER_PORT", "http"),
        ("DATABASE_CONNECTIONS", "1001"),
        ("PUBLIC_URL", "todo.example.com"),
        ("PUBLIC_URL", "https://todo.example.com/tasks"),
        ("DATABASE_POOLER", "session"),
    ],
)
def test_a_value_that_is_not_allowed_stops_the_start_in_any_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} is .*; set it to "):
        read_settings(monkeypatch, {name: value})
