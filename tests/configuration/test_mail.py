"""EMAIL_URL and MAIL_FROM: the protection that a scheme promises, and errors without the password."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from todo_mcp.configuration.mail import mail_settings, sender

PASSWORD = "s3cr3t-words"
SMTP = "django.core.mail.backends.smtp.EmailBackend"


def settings_of(monkeypatch: pytest.MonkeyPatch, url: str) -> dict[str, Any]:
    monkeypatch.setenv("EMAIL_URL", url)
    return mail_settings("EMAIL_URL", "console://")


@pytest.mark.parametrize(
    ("start", "end", "protection", "port"),
    [
        ("smtp://", "", "", 25),
        ("smtp://", ":2525", "", 2525),
        ("SMTP+TLS://", "", "EMAIL_USE_TLS", 587),
        ("smtp+tls://", ":25", "EMAIL_USE_TLS", 25),
        ("smtp+starttls://", "", "EMAIL_USE_TLS", 587),
        ("submission://", "", "EMAIL_USE_TLS", 587),
        ("smtps://", "", "EMAIL_USE_SSL", 465),
        ("smtps://", ":587", "EMAIL_USE_TLS", 587),
        ("smtp+ssl://", ":465/", "EMAIL_USE_SSL", 465),
        ("smtp://", ":465?ssl=True", "EMAIL_USE_SSL", 465),
        ("smtp://", ":587/?tls=1", "EMAIL_USE_TLS", 587),
    ],
)
def test_the_scheme_sets_protection_and_port(
    monkeypatch: pytest.MonkeyPatch, start: str, end: str, protection: str, port: int
) -> None:
    assert settings_of(monkeypatch, f"{start}u%40corp.example:p@ss/w#@mail.example{end}") == {
        "EMAIL_BACKEND": SMTP,
        "EMAIL_HOST": "mail.example",
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": "u@corp.example",
        "EMAIL_HOST_PASSWORD": "p@ss/w#",
        **({protection: True} if protection else {}),
    }


@pytest.mark.parametrize(
    ("url", "backend"),
    [
        ("", "console"),
        ("console://", "console"),
        ("Console:", "console"),
        ("dummy://", "dummy"),
        ("memory://", "locmem"),
        ("file:///var/mail", "filebased"),
        ("smtp://", "smtp"),
    ],
)
def test_other_ways_to_deliver(monkeypatch: pytest.MonkeyPatch, url: str, backend: str) -> None:
    assert settings_of(monkeypatch, url)["EMAIL_BACKEND"] == f"django.core.mail.backends.{backend}.EmailBackend"


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        f"u:{PASSWORD}@mail.example",
        f"https://u:{PASSWORD}@mail.example",
        f"smtp//u:{PASSWORD}@mail.example",
        f"smtp://u:{PASSWORD}@mail.example:0",
        f"smtp://u:{PASSWORD}@mail.example:port",
        f"smtp://u:{PASSWORD}@mail.example:70000",
        f"smtp://u:{PASSWORD}@mail.example/box",
        f"smtp://u:{PASSWORD}@mail example",
        f"smtp://u:{PASSWORD}@mail.example?foo=1",
        f"smtp://u:{PASSWORD}%ff@mail.example",
        "console://x",
        "file://relative",
        "ses://",
    ],
)
def test_any_other_url_is_refused_in_one_sentence_without_the_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^EMAIL_URL .*; set it to smtp\+tls://") as refused:
        settings_of(monkeypatch, url)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("address", ["todo@example.com", " todo@example.com ", '"To do" <todo@example.com>'])
def test_a_sender_may_have_a_name(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MAIL_FROM", address)
    assert sender("MAIL_FROM", "default@example.com") == address.strip()


@pytest.mark.parametrize("address", ["todo", "todo@", "@example.com", "a@b, c@d", "a b@c", "a@b\nBcc: c@d", "<>"])
def test_a_sender_that_is_not_one_address_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MAIL_FROM", address)
    with pytest.raises(ImproperlyConfigured, match=r"^MAIL_FROM .*; set it to an address, like "):
        sender("MAIL_FROM", "default@example.com")
