"""Settings that are unsafe or wrong stop the start with one sentence: the variable, what is wrong, an example."""

import json
import re
import runpy
import string
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.support.server_process import ROOT

SAFE = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "0123456789" * 5,
    "PUBLIC_URL": "https://todo.example.com",
    "DATABASE_URL": "postgresql://127.0.0.1:1/none",
}
SOURCE = (ROOT / "todo_mcp" / "settings.py").read_text()
VARIABLES = sorted(set(re.findall(r'(?:env|addresses|mail|origins)\.\w+\(\s*"([A-Z_]+)"', SOURCE)))
SECRETS = ("DATABASE_URL", "SECRET_KEY", "EMAIL_URL", "METRICS_TOKEN", "SCIM_TOKEN", "JWT_ISSUERS")
WORD = "kqzxj"  # in a value; no error shows it if the variable is a secret
UGLY = [
    "",
    " ",
    '""',
    "\r\n",
    WORD,
    f" {WORD}\r",
    f"'{WORD}'",
    f"{WORD} # comment",
    WORD.upper(),
    "0",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "0x10",
    "1_000",
    "9" * 30,
    "9" * 5000,
    "٣",
    "true",
    "false",
    "yes",
    "off",
    "null",
    "None",
    "undefined",
    ",",
    ";",
    "a,,b",
    f"{WORD}:5000",
    f":{WORD}",
    f"https://{WORD}",
    f"HTTPS://{WORD}:443/",
    f"https://{WORD}:99999",
    f"https://{WORD}/path?query#fragment",
    f"https://user:{WORD}@{WORD}",
    f"postgresql://u:{WORD}@h:5432/db",
    f"postgresql://u:{WORD}@/%[]?#@h/db",
    f"postgresql://u:{WORD}@h/db?x={WORD}",
    f"sqlite:///{WORD}",
    f"smtp://u:{WORD}@h:x",
    "tcp://10.0.0.1:5000",
    "://",
    "@",
    "%",
    "%00",
    "%ff",
    "[",
    "[::1]",
    "[]",
    "{}",
    '[{"issuer": 1}]',
    f'[{{"issuer": "{WORD}", "audience": "a", "family": "RS", "public_key": "{WORD}"}}]',
    '[{"issuer": "i", "audience": "a", "family": "RS", "jwks_url": "https://h:99999/"}]',
    "[" * 100_000,
    '"\\ud800"',
    "*",
    "*.*",
    "../..",
    "~",
    f"~{WORD}",
    f"/{WORD}",
    "/dev/null",
    "C:\\Users",
    "$HOME",
    "${HOME}",
    "ä€🔑",
    "\u202e",
    "\ufeff",
    "a\x01",
    "a\x1b[2J",
    "a\nb",
    "a\x7f",
    "a\udcff",
    "x" * 100_000,
    string.punctuation,
]


def read_settings(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> dict[str, Any]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "todo_mcp" / "settings.py"))


def refusal(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> str:
    with pytest.raises(ImproperlyConfigured) as refused:
        read_settings(monkeypatch, values)
    return str(refused.value)


def test_production_starts_with_safe_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(monkeypatch, SAFE)
    assert (settings["PRODUCTION"], settings["ALLOWED_HOSTS"]) == (True, ["todo.example.com"])
    assert settings["SESSION_COOKIE_SECURE"] and settings["CSRF_COOKIE_SECURE"] and settings["SECURE_HSTS_SECONDS"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "0123456789" * 4),
        ("SECRET_KEY", f'"{"0123456789" * 4}{" " * 20}"'),
        ("SECRET_KEY", f"development-{'0123456789' * 5}"),
        ("PUBLIC_URL", ""),
        ("PUBLIC_URL", "http://todo.example.com"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "todo.example.com,*"),
        ("ALLOWED_HOSTS", "https://*:443"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", ' "" '),
    ],
)
def test_production_does_not_start_with_an_unsafe_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    message = refusal(monkeypatch, {**SAFE, name: value})
    assert re.match(rf"^{name} .*; (set it to|name the hosts) ", message)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "staging"),
        ("LOG_LEVEL", "TRACE"),
        ("LOG_LEVEL", "10"),
        ("MCP_SERVER_PORT", "0"),
        ("MCP_SERVER_PORT", "http"),
        ("MCP_SERVER_PORT", "tcp://10.0.0.1:5000"),
        ("DATABASE_CONNECTIONS", "1001"),
        ("DATABASE_CONNECTIONS", "16.0"),
        ("CONVERSATION_DAYS", "30d"),
        ("PUBLIC_URL", "todo.example.com"),
        ("PUBLIC_URL", "https://todo.example.com/tasks"),
        ("DATABASE_POOLER", "session"),
        ("PROMETHEUS_MULTIPROC_DIR", "/dev/null/x"),
        ("SCIM_TOKEN", "x" * 31),
    ],
)
def test_a_value_that_is_not_allowed_stops_the_start_in_any_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert re.match(rf"^{name} is .*; set it to ", refusal(monkeypatch, {name: value}))


@pytest.mark.parametrize("name", VARIABLES)
def test_no_value_of_a_variable_ends_in_anything_but_a_sentence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each ugly value is accepted, or refused in one line that names the variable and shows no secret."""
    refused = 0
    for value in UGLY:
        for base in ({}, SAFE):
            try:
                read_settings(monkeypatch, {**base, name: value})
            except ImproperlyConfigured as error:
                refused += 1
                message = str(error)
                assert message.startswith(f"{name} ") or message.startswith(f"{name},"), (value, message)
                assert message.endswith(".") and message.isprintable() and len(message) < 700, (value, message)
                assert "; " in message, (value, message)
                assert name not in SECRETS or WORD not in message.lower(), (value, message)
    assert refused or name == "TODO_DATA_DIR"


@pytest.mark.parametrize(
    ("name", "value", "setting", "expected"),
    [
        ("ENVIRONMENT", " Development\r", "PRODUCTION", False),
        ("LOG_LEVEL", "debug", "LOG_LEVEL", "DEBUG"),
        ("LOG_LEVEL", " Debug ", "LOG_LEVEL", "DEBUG"),
        ("LOG_LEVEL", "'info'", "LOG_LEVEL", "INFO"),
        ("LOG_LEVEL", "warn", "LOG_LEVEL", "WARNING"),
        ("LOG_LEVEL", "Fatal", "LOG_LEVEL", "CRITICAL"),
        ("LOG_LEVEL", "critical", "LOG_LEVEL", "CRITICAL"),
        ("MCP_SERVER_PORT", '"8080"\r', "PUBLIC_URL", "http://localhost:8080"),
        ("DATABASE_CONNECTIONS", " +8 ", "DATABASE_CONNECTIONS", 8),
        ("PUBLIC_URL", "HTTPS://Todo.Example.com:443/", "CSRF_TRUSTED_ORIGINS", ["https://todo.example.com"]),
        ("PUBLIC_URL", "http://[::1]:5000", "DEFAULT_FROM_EMAIL", "todo-mcp@[::1]"),
        ("ALLOWED_HOSTS", " https://A.example:443 ,, b.example ", "ALLOWED_HOSTS", ["a.example", "b.example"]),
        ("PROBE_HOSTS", "A.internal:5000", "PROBE_HOSTS", ["a.internal"]),
        ("FORWARDED_ALLOW_IPS", " 10.0.0.1 , ", "FORWARDED_ALLOW_IPS", ["10.0.0.1/32"]),
        ("METRICS_TOKEN", " 'token' ", "METRICS_TOKEN", "token"),
        ("DATABASE_POOLER", "NONE", "TRANSACTION_POOLING", False),
        ("DATABASE_URL", f"{SAFE['DATABASE_URL']}?pgbouncer=true", "TRANSACTION_POOLING", True),
        ("DATABASE_URL", f"{SAFE['DATABASE_URL']}?pool_size=5", "DATABASE_URL_IGNORED", ("pool_size",)),
        ("EMAIL_URL", "smtp+tls://mail.example", "EMAIL_USE_TLS", True),
    ],
)
def test_a_value_is_read_as_people_write_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, setting: str, expected: object
) -> None:
    assert read_settings(monkeypatch, {name: value})[setting] == expected


def test_the_setting_of_the_pooler_takes_precedence_over_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"DATABASE_URL": f"{SAFE['DATABASE_URL']}?pgbouncer=true", "DATABASE_POOLER": "none"}
    assert read_settings(monkeypatch, values)["TRANSACTION_POOLING"] is False


def test_an_issuer_is_read_as_people_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {
        "issuer": " https://Login.example/ ",
        "audience": "todo\n",
        "family": "eddsa",
        "jwks_url": " HTTPS://Login.Example/Keys ",
        "scopes": [" tasks:read ", ""],
    }
    text = f"\r\n'{json.dumps([entry], indent=2)}'\r\n"
    (issuer,) = read_settings(monkeypatch, {"JWT_ISSUERS": text})["JWT_ISSUERS"]
    assert (issuer.issuer, issuer.audience, issuer.family) == ("https://Login.example/", "todo", "EdDSA")
    assert (issuer.jwks_url, issuer.scopes) == ("https://login.example/Keys", ("tasks:read",))


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        (" , ", ()),
        ("https://app.example.com", ("https://app.example.com",)),
        (" https://app.example.com ,\thttp://localhost:5173\r", ("https://app.example.com", "http://localhost:5173")),
        ("https://app.example.com,", ("https://app.example.com",)),
        ("https://app.example.com,https://app.example.com:443/", ("https://app.example.com",)),
        ("https://app.example.com https://b.example", ("https://app.example.com", "https://b.example")),
        ('"https://app.example.com"', ("https://app.example.com",)),
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
        *("https://app.example.com:", "https://app.example.com:65536", "http://a:0"),
        *(
            "http://localhost:http",
            "http://[::1",
            "http://[::g]",
            "https://app.example.com.",
            "https://-",
        ),
        *(
            "[https://app.example.com]",
            "https://münchen.example",
        ),
        *(
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


@pytest.mark.parametrize("name", ["BROWSER_ORIGINS", "PROBE_HOSTS", "ALLOWED_HOSTS", "LOG_LEVEL", "MCP_SERVER_PORT"])
def test_a_password_in_the_wrong_variable_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for value in ("postgresql://u:s3cr3t@h:99999/db", "host=h password=s3cr3t"):
        message = refusal(monkeypatch, {name: value})
        assert message.startswith(f"{name} ") and "s3cr3t" not in message
