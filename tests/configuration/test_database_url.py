"""DATABASE_URL in every form that libraries and providers write; errors are one sentence and show no password."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from todo_mcp.configuration.database_url import DatabaseUrl, parse_database_url

PASSWORD = "s3cr3t-words"
URL = f"postgresql://todo:{PASSWORD}@db.internal:5432/todo"


def parsed(url: str) -> DatabaseUrl:
    url_or_none = parse_database_url(url)
    assert url_or_none is not None
    return url_or_none


def refusal(url: str) -> str:
    with pytest.raises(ImproperlyConfigured) as refused:
        parse_database_url(url)
    return str(refused.value)


def address(url: str) -> tuple[str, str, str, str, str]:
    found = parsed(url)
    return found.user, found.password, found.host, found.port, found.name


@pytest.mark.parametrize(
    "scheme",
    [
        "postgres",
        "postgresql",
        "psql",
        "pgsql",
        "POSTGRES",
        "PostgreSQL",
        "postgresql+asyncpg",
        "postgresql+psycopg",
        "postgresql+psycopg2",
        "postgresql+psycopg_async",
        "postgres+pg8000",
    ],
)
def test_every_scheme_of_postgresql_is_accepted(scheme: str) -> None:
    assert address(f"{scheme}://todo:{PASSWORD}@db.internal:5432/todo") == (
        "todo", PASSWORD, "db.internal", "5432", "todo",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("u:p@h/db", ("u", "p", "h", "", "db")),
        ("u:p@h:/db", ("u", "p", "h", "", "db")),
        ("u:p@h:5432/db/", ("u", "p", "h", "5432", "db")),
        ("h/db", ("", "", "h", "", "db")),
        ("u@h/db", ("u", "", "h", "", "db")),
        ("u:@h/db", ("u", "", "h", "", "db")),
        ("/db", ("", "", "", "", "db")),
        ("u@/db?host=/var/run/postgresql&port=5433", ("u", "", "/var/run/postgresql", "5433", "db")),
        ("/db?user=u&password=p%40&host=h", ("u", "p@", "h", "", "db")),
        ("/?user=u&dbname=db&host=h", ("u", "", "h", "", "db")),
        ("%2Fvar%2Frun%2Fpostgresql/db", ("", "", "/var/run/postgresql", "", "db")),
        ("u:p@[::1]/db", ("u", "p", "::1", "", "db")),
        ("u:p@[2001:db8::1]:6432/db", ("u", "p", "2001:db8::1", "6432", "db")),
        ("u:p@a:1,b:2/db", ("u", "p", "a,b", "1,2", "db")),
        ("u:p@a,[::1]:2/db", ("u", "p", "a,::1", ",2", "db")),
        ("u%40corp:p%2Fw@h/d%20b", ("u@corp", "p/w", "h", "", "d b")),
    ],
)
def test_every_form_of_an_address_is_read(rest: str, expected: tuple[str, ...]) -> None:
    assert address(f"postgresql://{rest}") == expected


@pytest.mark.parametrize(
    "password",
    ["a@b", "a#b", "a/b", "a?b", "a%b", "100%", "%zz", "a[b", "a]b", "[a]", "a:b", "@", "#@/?%[]:", "a b", "p?ss=1",
     "a/b?c=d", "ä€🔑", "$HOME", "a&b=c", "a\\b", '"', "a@b@c", "x@y.example"],
)  # fmt: skip
@pytest.mark.parametrize("query", ["", "?sslmode=require"])
def test_an_unencoded_character_in_the_password_is_itself(password: str, query: str) -> None:
    assert address(f"postgresql://u:{password}@h.example:5432/db{query}") == ("u", password, "h.example", "5432", "db")


def test_a_user_name_may_be_a_mail_address() -> None:
    assert address("postgresql://me@corp.example:p@h/db") == ("me@corp.example", "p", "h", "", "db")


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("ssl=true", {"sslmode": "require"}),
        ("ssl=1", {"sslmode": "require"}),
        ("ssl=on", {"sslmode": "require"}),
        ("ssl=false", {"sslmode": "disable"}),
        ("ssl=require", {"sslmode": "require"}),
        ("ssl=verify-full", {"sslmode": "verify-full"}),
        ("sslmode=VERIFY_CA", {"sslmode": "verify-ca"}),
        ("sslmode=VerifyFull", {"sslmode": "verify-full"}),
        ("sslMode=require", {"sslmode": "require"}),
        ("ssl-mode=prefer", {"sslmode": "prefer"}),
        ("sslmode=no-verify", {"sslmode": "require"}),
        ("ssl=true&sslmode=verify-full", {"sslmode": "verify-full"}),
        ("sslmode=verify-full&ssl=true", {"sslmode": "verify-full"}),
        ("sslmode=require&sslaccept=strict", {"sslmode": "verify-full"}),
        ("sslmode=require&sslaccept=accept_invalid_certs", {"sslmode": "require"}),
        ("sslrootcert=/etc/ca.pem&sslcert=a.crt&sslkey=a.key",
         {"sslrootcert": "/etc/ca.pem", "sslcert": "a.crt", "sslkey": "a.key"}),
        ("sslrootcert=/home/me@work/ca.pem", {"sslrootcert": "/home/me@work/ca.pem"}),
        ("connect_timeout=10", {"connect_timeout": "10"}),
        ("connectTimeout=10", {"connect_timeout": "10"}),
        ("application_name=my%20app", {"application_name": "my app"}),
        ("ApplicationName=app+1", {"application_name": "app+1"}),
        ("target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("targetServerType=primary", {"target_session_attrs": "read-write"}),
        ("channel_binding=require", {"channel_binding": "require"}),
        ("keepalives_idle=5", {"keepalives_idle": "5"}),
        ("options=endpoint%3Dep-1", {"options": "endpoint=ep-1"}),
        ("options=-c+geqo%3Doff", {"options": "-c geqo=off"}),
        ("schema=public", {"options": "-c search_path=public"}),
        ("schema=todo", {"options": "-c search_path=todo"}),
        ("schema=My%20Tasks", {"options": '-c search_path="My\\ Tasks"'}),
        ("currentSchema=todo,public", {"options": "-c search_path=todo,public"}),
        ("search_path=todo,%20public", {"options": "-c search_path=todo,\\ public"}),
        ("schema_search_path=todo", {"options": "-c search_path=todo"}),
        ("options=-c%20jit%3Doff&schema=todo", {"options": "-c jit=off -c search_path=todo"}),
        ("statement_timeout=5000&lock_timeout=1s",
         {"options": "-c statement_timeout=5000 -c lock_timeout=1s"}),
        ("charset=utf8", {}),
        ("client_encoding=UTF-8", {}),
        ("sslmode=", {}),
        ("&&", {}),
        ("sslmode=require&sslmode=require", {"sslmode": "require"}),
    ],
)  # fmt: skip
def test_a_parameter_with_a_meaning_is_translated(query: str, options: dict[str, str]) -> None:
    found = parsed(f"{URL}?{query}")
    assert (found.options, found.is_pooled, found.ignored) == (options, False, ())


@pytest.mark.parametrize(
    "query",
    [
        "pgbouncer=true",
        "pgbouncer=1",
        "prepared_statement_cache_size=0",
        "statement_cache_size=0",
        "statement-cache-capacity=0",
        "statement_cache_capacity=0",
        "prepareThreshold=0",
        "preparedStatementCacheQueries=0",
        "prepared_statements=false",
        "prepare=unnamed",
        "disable_server_side_cursors=true",
        "preferQueryMode=simple",
        "default_query_exec_mode=simple_protocol",
        "pool_mode=transaction",
    ],
)
def test_a_parameter_that_switches_prepared_statements_off_means_a_pooler(query: str) -> None:
    found = parsed(f"{URL}?{query}")
    assert (found.is_pooled, found.options, found.ignored) == (True, {}, ())


@pytest.mark.parametrize(("schema", "options"), [("public", {}), ("todo", {"options": "-c search_path=todo"})])
def test_a_pooler_gets_a_schema_only_if_it_is_not_the_default(schema: str, options: dict[str, str]) -> None:
    assert parsed(f"{URL}?pgbouncer=true&schema={schema}").options == options


@pytest.mark.parametrize(
    "name",
    ["connection_limit", "pool_timeout", "pool_size", "max_overflow", "pool_recycle", "pool_max_conns", "min_size",
     "max_size", "max", "conn_max_age", "conn_health_checks", "socket_timeout", "socketTimeout", "command_timeout",
     "statement_cache_size", "max_cached_statement_lifetime", "max_inactive_connection_lifetime", "idle_timeout",
     "supa", "workaround", "pgbouncer", "async_fallback", "uselibpqcompat", "serverVersion", "binary_parameters",
     "reWriteBatchedInserts", "prepareThreshold", "advisory_locks", "checkout_timeout", "reaping_frequency",
     "single_use_connections", "tcpKeepAlive", "loginTimeout", "loggerLevel"],
)  # fmt: skip
def test_a_parameter_of_another_drivers_pool_is_ignored_and_named(name: str) -> None:
    found = parsed(f"{URL}?{name}=7&sslmode=require&{name}=8")
    assert (found.ignored, found.options, found.is_pooled) == ((name,), {"sslmode": "require"}, False)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("foo=1", "'foo'"),
        ("ssImode=require", "'ssImode'"),
        ("sslidentity=a.p12", "'sslidentity'"),
        ("replication=database", "'replication'"),
        ("options[jit]=off", "'options[jit]'"),
        ("amp;sslmode=require", "'amp;sslmode'"),
        ("sslmode=maybe", "wrong sslmode"),
        ("ssl=%7B%22rejectUnauthorized%22:false%7D", "wrong ssl"),
        ("connect_timeout=0", "connect_timeout"),
        ("connect_timeout=-1", "connect_timeout"),
        ("connect_timeout=3.5", "connect_timeout"),
        ("connect_timeout=ten", "connect_timeout"),
        ("connect_timeout=999999999999999999999", "connect_timeout"),
        ("targetServerType=secondary", "'targetServerType'"),
        ("charset=latin1", "'charset'"),
        ("schema=a&schema=b", "'schema'"),
        ("application_name=a&application_name=b", "'application_name'"),
        ("sslmode", "unclear"),
        ("application_name=%ff", "UTF-8"),
        ("application_name=%00", "UTF-8"),
        ("port=99999", "port"),
    ],
)
def test_any_other_parameter_is_refused_by_name(query: str, words: str) -> None:
    message = refusal(f"{URL}?{query}")
    assert words in message
    assert_is_a_safe_sentence(message)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"sqlite:///{PASSWORD}.db", "not a PostgreSQL URL"),
        (f"mysql://u:{PASSWORD}@h/db", "not a PostgreSQL URL"),
        (f"jdbc:postgresql://h/db?password={PASSWORD}", "not a PostgreSQL URL"),
        (f"prisma://h/?api_key={PASSWORD}", "not a PostgreSQL URL"),
        (f"postgresql:/u:{PASSWORD}@h/db", "not a PostgreSQL URL"),
        (f"postgresql//u:{PASSWORD}@h/db", "not a PostgreSQL URL"),
        (f"u:{PASSWORD}@h:5432/db", "not a PostgreSQL URL"),
        (f"host=h user=u password={PASSWORD} dbname=db", "not a PostgreSQL URL"),
        (f"psql 'postgresql://u:{PASSWORD}@h/db'", "not a PostgreSQL URL"),
        ("true", "not a PostgreSQL URL"),
        (f"postgresql://u:{PASSWORD}@h", "names no database"),
        (f"postgresql://u:{PASSWORD}@h:5432/", "names no database"),
        ("postgresql://", "names no database"),
        (f"postgresql://u:{PASSWORD}@h/{'x' * 64}", "more than 63 bytes"),
        (f"postgresql://u:{PASSWORD}@h:0/db", "port"),
        (f"postgresql://u:{PASSWORD}@h:65536/db", "port"),
        (f"postgresql://u:{PASSWORD}@h:-1/db", "port"),
        (f"postgresql://u:{PASSWORD}@h:{'9' * 5000}/db", "port"),
        (f"postgresql://u:{PASSWORD}@h:port/db", "port"),
        (f"postgresql://u:{PASSWORD}@h:٥٤٣٢/db", "port"),
        (f"postgresql://u:{PASSWORD}@h 1/db", "unclear"),
        (f"postgresql://u:{PASSWORD}@::1/db", "unclear"),
        (f"postgresql://u:{PASSWORD}@h/db#{PASSWORD}", "unclear"),
        (f"postgresql://u:{PASSWORD}@h/a/b/c", "unclear"),
        (f"postgresql://u:{PASSWORD}@ss/w?x={PASSWORD}@h/db", "unclear"),
        (f"postgresql://u:{PASSWORD}%ff@h/db", "UTF-8"),
        (f"postgresql://u:{PASSWORD}%00@h/db", "UTF-8"),
        (f"postgresql://h/db?password=a&{PASSWORD}=b", "unknown"),
    ],
)
def test_any_other_url_is_refused_in_one_sentence(url: str, words: str) -> None:
    message = refusal(url)
    assert words in message
    assert_is_a_safe_sentence(message)


def test_an_empty_url_is_no_url() -> None:
    assert parse_database_url("") is None


def test_a_service_file_may_name_the_database() -> None:
    assert parsed("postgresql:///?service=todo").options == {"service": "todo"}


def assert_is_a_safe_sentence(message: str) -> None:
    assert message.startswith("DATABASE_URL ") and message.endswith(".") and "\n" not in message
    assert "; " in message and ("like " in message or "set it to " in message or "remove it" in message)
    assert PASSWORD not in message
