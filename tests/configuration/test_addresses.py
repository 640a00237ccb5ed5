"""URLs, hosts and networks are brought into one form at the start."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from todo_mcp.configuration.addresses import hosts, networks, public_url


@pytest.mark.parametrize(
    ("written", "url", "host"),
    [
        ("https://todo.example.com", "https://todo.example.com", "todo.example.com"),
        ("HTTPS://Todo.Example.COM/", "https://todo.example.com", "todo.example.com"),
        ("https://todo.example.com:443//", "https://todo.example.com", "todo.example.com"),
        ("https://todo.example.com.", "https://todo.example.com", "todo.example.com"),
        ("https://todo.example.com:", "https://todo.example.com", "todo.example.com"),
        ("https://todo.example.com:08443", "https://todo.example.com:8443", "todo.example.com"),
        ("http://localhost:80/", "http://localhost", "localhost"),
        ("http://LOCALHOST:5000\r", "http://localhost:5000", "localhost"),
        ("http://[::0001]:5000", "http://[::1]:5000", "[::1]"),
        ("http://10.0.0.1", "http://10.0.0.1", "10.0.0.1"),
        ("'https://todo.example.com'", "https://todo.example.com", "todo.example.com"),
        ("", "http://default", "default"),
    ],
)
def test_a_public_url_is_normalised(monkeypatch: pytest.MonkeyPatch, written: str, url: str, host: str) -> None:
    monkeypatch.setenv("PUBLIC_URL", written)
    assert public_url("PUBLIC_URL", "http://default") == (url, host)


@pytest.mark.parametrize(
    "written",
    ["todo.example.com", "//todo.example.com", "https:todo.example.com", "https:/todo.example.com", "https://",
     "ftp://todo.example.com", "https://todo.example.com/tasks", "https://todo.example.com?x", "https://a#b",
     "https://u:secret@todo.example.com", "https://todo.example.com:0", "https://todo.example.com:65536",
     "https://todo.example.com:port", "https://todo.example.com:٤٤٣", "https://töd.example", "https://a b.example",
     "https://[::1", "https://[x]", "https://*.example.com", "https://a,b", "https:\\\\todo.example.com", "5000"],
)  # fmt: skip
def test_any_other_public_url_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("PUBLIC_URL", written)
    with pytest.raises(ImproperlyConfigured, match=r"^PUBLIC_URL .*; set it to scheme and host .*, like ") as refused:
        public_url("PUBLIC_URL", "")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("todo.example.com", ["todo.example.com"]),
        (" Todo.Example.com , localhost ,, ", ["todo.example.com", "localhost"]),
        ("a.example b.example", ["a.example", "b.example"]),
        ("https://todo.example.com/", ["todo.example.com"]),
        ("todo.example.com:443,localhost:5000", ["todo.example.com", "localhost"]),
        ("localhost:*", ["localhost"]),
        (".example.com", [".example.com"]),
        ("todo.example.com.", ["todo.example.com"]),
        ("*", ["*"]),
        ("::1,[::1],[::0001]:5000", ["[::1]"]),
        ("my_service", ["my_service"]),
        ("'a.example','b.example'", ["a.example", "b.example"]),
        ("", []),
        (",", []),
    ],
)
def test_a_list_of_hosts_has_only_names(monkeypatch: pytest.MonkeyPatch, written: str, expected: list[str]) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", written)
    assert hosts("ALLOWED_HOSTS") == expected


@pytest.mark.parametrize(
    "written",
    ["*.example.com", '["a.example"]', "https://a/path", "a.example/path", "tödö", "a@b", "[x]", ":5000", "a;b"],
)
def test_any_other_host_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", written)
    with pytest.raises(ImproperlyConfigured, match=r"^ALLOWED_HOSTS contains .*; set it to host names .*, like "):
        hosts("ALLOWED_HOSTS")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (" 127.0.0.1 , ::1,, ", ["127.0.0.1/32", "::1/128"]),
        ("10.0.0.1/8", ["10.0.0.0/8"]),
        ("[::1]", ["::1/128"]),
        ("*", ["*"]),
        ("", []),
    ],
)
def test_a_list_of_proxies_has_only_networks(
    monkeypatch: pytest.MonkeyPatch, written: str, expected: list[str]
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", written)
    assert networks("FORWARDED_ALLOW_IPS") == expected


@pytest.mark.parametrize("written", ["caddy", "localhost", "10.0.0", "10.0.0.1:80", "10.0.0.0/99", "true", "1"])
def test_any_other_proxy_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", written)
    with pytest.raises(
        ImproperlyConfigured, match=r"^FORWARDED_ALLOW_IPS contains .*; set it to IP addresses .*, like "
    ):
        networks("FORWARDED_ALLOW_IPS")
