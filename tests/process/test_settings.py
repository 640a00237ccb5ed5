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
    for name in (*SAFE, "ALLOWED_HOSTS", "BROWSER_ORIGINS", "DATABASE_POOLER"):
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


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        (" , ", ()),
        ("https://app.example.com", ("https://app.example.com",)),
        (" https://app.example.com ,\thttp://localhost:5173\r", ("https://app.example.com", "http://localhost:5173")),
        ("https://app.example.com,", ("https://app.example.com",)),
        ("https://app.example.com,https://app.example.com:443/", ("https://app.example.com",)),
        ("HTTPS://App.Example.COM:8443", ("https://app.example.com:8443",)),
        ("http://localhost:80", ("http://localhost",)),
        ("http://localhost:443", ("http://localhost:443",)),
        ("https://app.example.com:0443", ("https://app.example.com",)),
        ("http://[0:0:0:0:0:0:0:1]:5173", ("http://[::1]:5173",)),
        ("http://192.168.1.7:3000", ("http://192.168.1.7:3000",)),
        ("https://xn--mnchen-3ya.example", ("https://xn--mnchen-3ya.example",)),
        ("chrome-extension://ABCDEFGHIJKLMNOP", ("chrome-extension://abcdefghijklmnop",)),
        ("capacitor://localhost,tauri://localhost", ("capacitor://localhost", "tauri://localhost")),
    ],
)
def test_origins_of_pages_get_the_form_in_which_browsers_send_them(
    monkeypatch: pytest.MonkeyPatch, value: str, origins: tuple[str, ...]
) -> None:
    assert read_settings(monkeypatch, {"BROWSER_ORIGINS": value})["BROWSER_ORIGINS"] == origins


@pytest.mark.parametrize(
    "value",
    [
        *("*", "null", "NULL", "https://*", "https://*.example.com", "*://app.example.com", "http://localhost:*"),
        *(
            "https://app.example.com/app",
            "https://app.example.com//",
            "https://app.example.com/?",
            "https://a.example#x",
        ),
        *(
            "app.example.com",
            "localhost:5173",
            "//app.example.com",
            "https:app.example.com",
            "https://",
            "://",
            "https",
        ),
        *("https://alice@app.example.com", "https://app.example.com:", "https://app.example.com:65536", "http://a:0"),
        *(
            "http://localhost:http",
            "http://[::1",
            "http://[::g]",
            "http://a b",
            "https://app.example.com.",
            "https://-",
        ),
        *(
            '"https://app.example.com"',
            "'https://app.example.com'",
            "[https://app.example.com]",
            "https://münchen.example",
        ),
        *(
            "https://app.example.com https://b.example",
            "https://app.example.com;https://b.example",
            "file:///page.html",
        ),
        *("htps://app.example.com", "ftp://app.example.com", "data:text/html", "javascript:alert(1)", "about:blank"),
    ],
)
def test_anything_but_exact_origins_of_pages_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for listed in (value, f"https://good.example,{value}"):
        with pytest.raises(
            ImproperlyConfigured, match=r"^BROWSER_ORIGINS contains .*; set it to .*, like https://app\."
        ) as caught:
            read_settings(monkeypatch, {"BROWSER_ORIGINS": listed})
        assert repr(value) in str(caught.value)
