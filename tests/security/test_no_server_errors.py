"""No input of a stranger, a user or an operator causes an answer of 500 or above, or an ERROR in the log.

The tools and MCP have their own fuzz test (`test_fuzz`), and so have the forms of OAuth (`test_route_fuzz`).
"""

import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import URLResolver, get_resolver
from oauth2_provider.models import AccessToken

from tests.support.application import Application, Headers
from tests.support.factories import MessageFactory, TaskFactory
from tests.support.operators import LISTS
from todo_mcp.auth import rate_limit
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "G\u00c4T")
# Parts of a path, as sent. The admin reads "_0A" as a newline. A superscript is a digit, but not a number.
PARTS = (
    *(
        "1",
        "0",
        "-1",
        "1.0",
        "1e3",
        "99999999999999999999",
        "9" * 400,
        "alice",
        "x",
        "None",
        "null",
        "__all__",
        "..",
        ".",
    ),
    *(
        "%00",
        "_00",
        "_0A",
        "_5F",
        "%0A",
        "%0D%0A",
        "%FF",
        "%ED%A0%80",
        "%F0%9F%A5%9B",
        "%C2%B2",
        "%D9%A1",
        "%2F",
        "%2e%2e%2f",
    ),
    *("%25", "%2500", "%22%27%3C%3E", "a" * 3000, "%E2%80%AE", "1%20OR%201=1", "1,1", "1;1"),
)
QUERIES = (
    *(
        "%",
        "%00",
        "=",
        "&&&",
        "a",
        "=%FF",
        "%FF=%FF",
        "[]=1",
        "a[b]=c",
        "q=%ED%A0%80",
        "\xff",
        "?",
        "#",
        "+",
        "a" * 8000,
    ),
    *(
        "&".join(f"a{n}" for n in range(1200)),
        "next=//evil.example",
        "next=%0d%0a",
        "next=http://[",
        "next=javascript:1",
    ),
    *(
        "lang=x",
        "lang=%00",
        "lang=../../x",
        "version=%0D%0Ax:y",
        "version=%E2%82%AC",
        "version=%00",
        "format=%00",
        "script=",
    ),
    *(
        "format=json",
        "format=yaml",
        "_method=PUT",
        "limit=%00",
        "cursor=%00",
        "user_id=%00",
        "last=%C2%B2",
        "user_id=%ED%A0%80",
    ),
)
# Parameters of the lists in the admin: page, order, search, filters, popups.
NAMES = ["p", "o", "q", "e", "all", "id", "pk", "user", "user__id__exact", "at", "before", "after", "only", "version"]
NAMES += [
    "_popup",
    "_to_field",
    "_changelist_filters",
    "status",
    "role",
    "created_at_from",
    "updated_at_to",
    "kind",
    "s",
]
NAMES += ["created_at__day", "is_staff__exact", "is_active", "state"]
ADMIN_QUERIES = (
    *(f"{name}={value}" for name in NAMES for value in ("%00", "%C2%B2")),
    *(
        f"{name}=99999999999999999999"
        for name in ("p", "o", "e", "id", "user", "at", "before", "after", "created_at__day")
    ),
    *(
        "q=user:%00",
        "q=user:",
        "q=%22",
        "q=(",
        "q=*",
        "q=-",
        "q=a*%20|%20!",
        "q=%5C",
        "q=%27;--",
        "q=or",
        "q=%ED%A0%80",
    ),
    *(
        "user__password__startswith=a",
        "title__regex=(",
        "id__in=x",
        "nothing__like=it",
        "user__id__regex=((",
        "o=1.-2.x",
    ),
    *(
        "created_at__range=1",
        "created_at__year=99999999999",
        "_to_field=password",
        "_to_field=id&_popup=1",
        "p=-1",
        "p=x",
    ),
    *(
        "o=" + ".".join(["1"] * 500),
        "q=" + "a%20" * 500,
        "s=a&extended=1",
        "s=user:x&model=%00",
        "page=x",
        "a=1&" * 1200,
    ),
    "app_label=users&model_name=user&field_name=x&term=%00",
    "app_label=tasks&model_name=task&field_name=user&term=a&page=x",
)
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"


def part(name: bytes, value: bytes = b"x", *, more: bytes = b"") -> bytes:
    return b"--b\r\nContent-Disposition: form-data; name=" + name + more + b"\r\n\r\n" + value + b"\r\n"


BODIES: tuple[tuple[str, bytes], ...] = (
    ("", b"\x00\xff"),
    (FORM, b"\x00=\xff&%00=%00&csrfmiddlewaretoken=x&action=%00"),
    (FORM, b"&".join(b"a%d=1" % n for n in range(1200))),
    (f"{FORM}; charset=latin-1", b"username=\xff&password=x"),
    (FORM, b"&".join(b"%s=%%00" % name for name in b"username password email next title description id name".split())),
    (FORM, b"&".join(b"%s=%%ED%%A0%%80" % name for name in b"username password email name id title".split())),
    (FORM, b"&".join(b"%s=" % name + b"a" * 5000 for name in b"username password id email name title".split())),
    (FORM, b"email=a%0d%0aBcc:b@example.com&old_password=%00&new_password1=%00&new_password2=%00"),
    (FORM, b"action=delete_selected&_selected_action=x&_selected_action=%00&index=0&select_across=1"),
    (FORM, b"action=delete_task&_selected_action=99999999999999999999&index=x&confirmed=yes"),
    (FORM, b"action=revoke&_selected_action=%C2%B2&index=0&post=yes&version=%00&confirmed=yes&confirmation=%00"),
    (FORM, b"application_id=%C2%B2&version=99999999999999999999&confirmed=1&_save=1&user=%00&scopes=%00&kind=%00"),
    (FORM, b"user=nobody&service=%00&scopes=x&expires_0=99999-99-99&expires_1=99:99&expires=9999999999&days=1e400"),
    (FORM, b"initial-title=%00&title=%C2%85&description=%E2%80%AE&_continue=1&_popup=1&_to_field=password"),
    (FORM, b"user_permissions=%00&groups=x&groups=99999999999999999999&permissions=%C2%B2&last_login_0=x"),
    ("multipart/form-data", b"x"),
    ("multipart/form-data; boundary=\xff", b"x"),
    (f"multipart/form-data; boundary={'b' * 300}", b"--" + b"b" * 300),
    (MULTIPART, part(b"a", more=b'; filename="\x00"') + b"--b--"),
    (MULTIPART, part(b'"\x00\xff"', b"\x00\xff") + b"--b--\r\n"),
    (MULTIPART, part(b"a", b"?", more=b"\r\nContent-Transfer-Encoding: base64") + b"--b--\r\n"),
    (f"{MULTIPART}; charset=hex", part(b"a") + b"--b--\r\n"),
    (f"{MULTIPART}; charset=undefined", part(b"a") + b"--b--\r\n"),
    (MULTIPART, b"".join(part(b"a%d" % n) for n in range(1200)) + b"--b--\r\n"),
    (MULTIPART, b"".join(part(b"a%d" % n, more=b"; filename=a") for n in range(200)) + b"--b--\r\n"),
    ("application/json", b"{"),
    ("application/json", b"[" * 100_000),
    ("application/json", b'{"role": "user", "content": "\\u0000"}'),
    ("application/json", b"null"),
    ("text/plain", b"x" * 300_000),
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"cookie", b"sessionid=x; csrftoken=x; django_language=x; messages=x"),
    (b"cookie", b"sessionid=" + b"a" * 300 + b"; csrftoken=" + b"\xff" * 32),
    (b"cookie", b"sessionid=\xff\xfe; messages=W1siX19qc29uX21lc3NhZ2UiLDAsMjAsImEiXV0:x:y; django_language=\xff"),
    (b"cookie", b'=; ;;; a; "; sessionid="\\012\\400"; csrftoken="\\000"'),
    (b"cookie", b"sessionid=" + b"A" * 32 + b"; messages=" + b"%00" * 100),
    (b"cookie", b"; ".join(b"a%d=1" % n for n in range(500))),
    (b"accept", b"\xff"),
    (b"accept", b"a/b;q=x, */*;q=, ;;;,text"),
    (b"accept", b"application/vnd.oai.openapi+json; indent=x; q=\xff"),
    (b"accept-language", b"x-" * 500),
    (b"accept-language", b"\xff, de-\x7f;q=2"),
    (b"referer", b"http://[/"),
    (b"origin", b"http://["),
    (b"origin", b"null"),
    (b"host", b"localhost:99999999"),
    (b"host", b"[::1"),
    (b"host", b"\xff"),
    (b"x-forwarded-for", b"\xff, 999.999.999.999, ::"),
    (b"x-forwarded-host", b"evil.example\xff"),
    (b"x-forwarded-proto", b"gopher"),
    (b"x-forwarded-port", b"x"),
    (b"user-agent", b"\xff\x7f" * 300),
    (b"range", b"bytes=9-1,x"),
    (b"if-modified-since", b"Thu, 99 Jan 99999 99:99:99 GMT"),
    (b"if-none-match", b'W/"\xff'),
    (b"content-length", b"99999"),
    (b"content-length", b"-1"),
    (b"content-encoding", b"gzip"),
    (b"content-type", b"\xff/\xff; charset=\xff"),
    (b"content-type", b";;;=;"),
    (b"authorization", b"Basic \xff"),
    (b"authorization", b"Basic Og=="),
    (b"authorization", b"Bearer \xff"),
    (b"x-csrftoken", b"\xff" * 64),
    (b"x-http-method-override", b"DELETE"),
    (b"x-request-id", b"\xff" * 20),
    (b"x-requested-with", b"XMLHttpRequest"),
    (b"idempotency-key", b"\xff" * 20),
)
ASGI_PATHS = (
    "/mcp",
    "/mcp/",
    "/api/tools/add_task",
    "/api/tools/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/static/admin/css/base.css",
)
ROUTES_MIN = 60  # if there are fewer, the walk over the URL configuration missed some
COOKIE, CSRF = "sessionid", "a" * 32


def routes(patterns: Iterable[Any], prefix: str = "/") -> Iterator[str]:
    """Every route of Django, with "{}" in place of each parameter."""
    for pattern in patterns:
        path = prefix + re.sub(
            r"\(\?P<\w+>(\w+)[^)]*\)|\(\?P<\w+>[^)]*\)|<[^>]+>", lambda match: match[1] or "{}", str(pattern.pattern)
        )
        path = path.replace("^", "").replace("$", "")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        else:
            yield path


class Sender:
    """Sends requests as one caller, and records the first request of each kind of failure."""

    def __init__(self, application: Application, caplog: pytest.LogCaptureFixture) -> None:
        self._application, self._caplog = application, caplog
        self.headers: Headers = []
        self.failures: dict[str, str] = {}
        self.count = 0

    def send(self, method: str, target: str, *headers: tuple[bytes, bytes], body: bytes = b"") -> None:
        path, _, query = target.partition("?")
        replaced = {name for name, _ in headers}
        defaults = [
            (name, value) for name, value in [(b"host", b"localhost:5000"), *self.headers] if name not in replaced
        ]
        rate_limit.attempts.clear()
        self.count += 1
        reply = self._application.request(
            method, unquote(path), [*defaults, *headers], body, query=query.encode("latin-1")
        )
        request = f"{method} {target[:200]} {[*headers]!r:.200} {body[:100]!r}"
        if reply.status >= 500:
            self.failures.setdefault(f"{reply.status} of {path[:40]}", request)
        for record in self._caplog.records:
            if record.levelno >= logging.ERROR:
                self.failures.setdefault(f"{record.name}: {record.getMessage()[:80]}", request)
        self._caplog.clear()

    def check(self, at_least: int) -> None:
        assert self.count >= at_least
        assert not self.failures, "\n".join(f"{kind}: {request}" for kind, request in self.failures.items())


@pytest.fixture
def anonymous(application: Application, alice: User, caplog: pytest.LogCaptureFixture) -> Sender:
    TaskFactory.create(user=alice)
    MessageFactory.create(conversation__user=alice)
    return Sender(application, caplog)


@pytest.fixture
def by_token(anonymous: Sender) -> Sender:
    token = issue_token(service="chat")
    anonymous.headers = [(b"authorization", f"Bearer {token}".encode())]
    return anonymous


@pytest.fixture
def kept_groups(committed: None) -> Iterator[None]:
    """A test may edit the groups of operators, which no fixture empties. They are as before at its end."""
    permissions = Group.permissions.through.objects
    groups, granted = list(Group.objects.all()), list(permissions.all())
    yield
    Group.objects.all().delete()
    Group.objects.bulk_create(groups)
    permissions.bulk_create(granted)


@pytest.fixture
def by_operator(kept_groups: None, anonymous: Sender, operator: User) -> Sender:
    issue_token(user_id="alice")
    sign_in(anonymous, operator)
    return anonymous


def sign_in(sender: Sender, user: User) -> None:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    session = client.cookies[COOKIE].value
    sender.headers = [(b"cookie", f"{COOKIE}={session}; csrftoken={CSRF}".encode()), (b"x-csrftoken", CSRF.encode())]


def every_route() -> list[str]:
    paths = [*routes(get_resolver().url_patterns), *ASGI_PATHS]
    assert len(paths) > ROUTES_MIN
    return paths


def fill(route: str, value: str) -> str:
    return route.replace("{}", value)


def kind_of(content_type: str) -> tuple[bytes, bytes]:
    return b"content-type", content_type.encode("latin-1")


def test_a_stranger_causes_no_server_error_by_method_path_query_or_header(anonymous: Sender) -> None:
    for route in every_route():
        for method in METHODS:
            anonymous.send(method, fill(route, "1"))
        for value in PARTS if "{}" in route else ():
            anonymous.send("GET", fill(route, value))
        # The other pages of the admin redirect strangers to the sign-in.
        if not route.startswith("/admin/") or route == "/admin/login/":
            for query in QUERIES:
                anonymous.send("GET", f"{fill(route, '1')}?{query}")
    for route in ("/oauth/sign-in", "/api/schema", "/api/docs", "/api/conversations", "/admin/", "/mcp", "/nothing"):
        for header in HEADERS:
            for method in ("GET", "POST"):
                anonymous.send(method, route, header)
    anonymous.check(2500)


def test_a_stranger_causes_no_server_error_by_a_body(anonymous: Sender) -> None:
    anonymous.headers = [(b"cookie", f"csrftoken={CSRF}".encode()), (b"x-csrftoken", CSRF.encode())]
    for route in every_route():
        needs_sign_in = route.startswith("/admin/") and route != "/admin/login/"
        for kind, body in BODIES[:4] if needs_sign_in else BODIES:
            anonymous.send("POST", fill(route, "1"), kind_of(kind), body=body)
    anonymous.check(800)


def test_a_caller_causes_no_server_error(by_token: Sender) -> None:
    for route in [route for route in every_route() if route.startswith(("/api/", "/mcp"))]:
        for value in PARTS if "{}" in route else ():
            for method in ("GET", "DELETE"):
                by_token.send(method, f"{fill(route, value)}?user_id=alice")
        for query in QUERIES:
            for method in ("GET", "POST"):
                by_token.send(method, f"{fill(route, '1')}?user_id=alice&{query}")
        for kind, body in BODIES:
            by_token.send("POST", f"{fill(route, '1')}?user_id=alice", kind_of(kind), body=body)
        for header in HEADERS:
            by_token.send("POST", f"{fill(route, '1')}?user_id=alice", header)
    by_token.check(1000)


def test_an_operator_causes_no_server_error_by_a_path_or_a_query(by_operator: Sender) -> None:
    token = AccessToken.objects.order_by("pk").values_list("pk", flat=True)[0]
    lists = [*LISTS.values(), "/admin/auth/group/", "/admin/search/", "/admin/autocomplete/"]
    for route in [route for route in every_route() if route.startswith("/admin/")]:
        for value in PARTS if "{}" in route else ():
            by_operator.send("GET", fill(route, value))
        for query in ADMIN_QUERIES[::20] if "{}" not in route and route not in lists else ():
            by_operator.send("GET", f"{route}?{query}")
    for route in lists:
        for query in (*ADMIN_QUERIES, *QUERIES[::5]):
            by_operator.send("GET", f"{route}?{query}")
    for name, key in {"tasks": 1, "conversations": 1, "users": "alice", "tokens": token}.items():
        for query in ADMIN_QUERIES[::4]:
            by_operator.send("GET", f"{LISTS[name]}{key}/change/?{query}")
        by_operator.send("GET", f"{LISTS[name]}{key}/change/?_to_field=")
    by_operator.check(1000)


def test_an_operator_causes_no_server_error_by_a_body(by_operator: Sender, operator: User) -> None:
    for route in [route for route in every_route() if route.startswith("/admin/")]:
        path = fill(route, "alice" if "/users/" in route else "1")
        sign_in(by_operator, operator)  # some bodies end the session
        for method in METHODS[::3]:
            by_operator.send(method, path)
        sign_in(by_operator, operator)
        for kind, body in BODIES:
            by_operator.send("POST", path, kind_of(kind), body=body)
        for value in PARTS[::3] if "{}" in route else ():
            by_operator.send("POST", fill(route, value), kind_of(FORM), body=b"post=yes&confirmed=yes&_save=1")
    by_operator.check(1000)


@pytest.mark.parametrize("path", ["/api/docs", "/api/schema"])
def test_the_pages_of_the_api_refuse_all_methods_except_get_and_head_with_the_envelope(
    application: Application, path: str
) -> None:
    headers = [(b"host", b"localhost:5000")]
    for method in ("GET", "HEAD"):
        assert application.request(method, path, headers).status == 200
    for method in ("OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
        refusal = application.request(method, path, headers)
        assert (refusal.status, refusal.header(b"allow")) == (405, b"GET, HEAD")
        assert refusal.json()["data"] == {"error_code": 405, "error": "method_not_allowed"}


def test_a_suspicious_request_and_a_forged_form_are_logged_as_warnings(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    host, form = (b"host", b"localhost:5000"), (b"content-type", FORM.encode())
    many = b"&".join(b"a%d=1" % n for n in range(1200))
    cookie = [(b"cookie", f"csrftoken={CSRF}".encode()), (b"x-csrftoken", CSRF.encode())]
    assert application.request("POST", "/oauth/sign-in", [host, form, *cookie], many).status == 400
    assert application.request("POST", "/oauth/sign-in", [host, form], b"username=a").status == 403
    log_entries = [(record.levelname, record.name) for record in caplog.records if record.name.startswith("django")]
    assert {level for level, _ in log_entries} == {"WARNING"}
    assert ("WARNING", "django.security.csrf") in log_entries
