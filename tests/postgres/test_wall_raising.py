"""How migrations raise the wall, as owners with and without CREATEROLE, and take it down."""

import os
import re
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

from tests.support.processes import PATIENCE
from tests.support.server_process import environment_with, manage_command
from todo_mcp.postgres import wall
from todo_mcp.postgres.wall import OWNERS


@pytest.fixture(scope="module")
def template(django_db_setup: None) -> Iterator[str]:
    """The address of a migrated database without a wall. The name of its owner is the database's, without the end."""
    admin = connection.settings_dict
    name = f"{admin['NAME']}_owned"
    url = f"postgresql://{name}@/{name}_template?host={admin['HOST']}&port={admin['PORT']}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute(f"CREATE ROLE {name} LOGIN".encode())
        other.execute(f"CREATE DATABASE {name}_template OWNER {name}".encode())
        output_of("migrate", url=url)
        yield url
        other.execute(f"DROP DATABASE {name}_template".encode())
        other.execute(f"DROP ROLE {name}".encode())


@pytest.fixture
def owner(committed: None, template: str) -> Iterator[str]:
    """A migrated database without a wall; its owner of the same name may not create roles. Yields its address."""
    name = name_in(template)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} OWNER {name} TEMPLATE {name}_template")
    yield template.replace("_template", "")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")
        cursor.execute(f"DROP ROLE IF EXISTS calls_of_{name}")
        cursor.execute(f"ALTER ROLE {name} NOCREATEROLE")


def name_in(address: str) -> str:
    return str(urlsplit(address).username)


def output_of(*arguments: str, url: str, **settings: object) -> str:
    """What a command prints to both streams."""
    environment = environment_with({"DATABASE_URL": url, **settings})
    result = subprocess.run(
        manage_command(*arguments), env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return result.stdout + result.stderr


def test_an_owner_that_may_not_create_roles_starts_without_the_wall_and_is_told_what_to_do(owner: str) -> None:
    said = output_of("migrate", url=owner)
    assert wall.MISSING in said
    [sql] = re.findall(r"As a superuser, run (.*?)\. Then run `manage.py migrate`", said)
    assert sql.replace("\\", "") in output_of("check", url=owner)
    with connection.cursor() as cursor:
        cursor.execute(sql.replace("\\", ""))
    assert wall.MISSING not in output_of("migrate", url=owner)
    assert wall.MISSING not in output_of("check", url=owner)
    said = output_of("check", url=owner, ROW_LEVEL_SECURITY="off")
    assert wall.MISSING in said and "ROW_LEVEL_SECURITY is off" in said


def test_a_role_that_an_earlier_owner_left_needs_a_superuser_too(owner: str) -> None:
    """From PostgreSQL 16 on, CREATEROLE alone is not enough to take a role that exists."""
    if connection.connection.info.server_version < 160000:
        pytest.skip("the owner may grant itself any role")
    login = name_in(owner)
    role = f"calls_of_{login}"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {login} CREATEROLE; CREATE ROLE {role}")
    assert f'As a superuser, run GRANT "{role}" TO "{login}".' in output_of("migrate", url=owner).replace("\\", "")
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT {role} TO {login}")
    assert "Run `manage.py migrate`" in output_of("check", url=owner)
    assert wall.MISSING not in output_of("migrate", url=owner)


def test_a_role_that_may_do_too_much_is_no_wall(owner: str) -> None:
    login = name_in(owner)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {login} CREATEROLE")
        assert wall.MISSING not in output_of("migrate", url=owner)
        cursor.execute(f"ALTER ROLE calls_of_{login} LOGIN")
        said = output_of("check", url=owner)
        assert wall.MISSING in said
        [sql] = re.findall(r"As a superuser, run (ALTER ROLE .*?)\.", said.replace("\\", ""))
        cursor.execute(sql)
    assert wall.MISSING not in output_of("check", url=owner)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE POLICY reports ON tasks USING (true)",
        "CREATE POLICY reports ON task_events FOR SELECT TO calls_of_{login} USING (true)",
        "ALTER POLICY own_rows ON messages USING (true)",
    ],
)
def test_a_policy_that_opens_a_table_to_the_role_is_reported(owner: str, change: str) -> None:
    login = name_in(owner)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {login} CREATEROLE; CREATE ROLE {login}_reports")
    with psycopg.connect(owner, autocommit=True) as own:
        output_of("migrate", url=owner)
        own.execute(f"CREATE POLICY harmless ON tasks FOR SELECT TO {login}_reports USING (true)".encode())
        assert wall.MISSING not in output_of("check", url=owner)
        own.execute(change.format(login=login).encode())
        said = output_of("check", url=owner)
        assert wall.MISSING in said
        [sql] = re.findall(r"Run (DROP POLICY .*?), then `manage.py migrate`", said)
        own.execute(sql.encode())
        own.execute(b"DROP POLICY harmless ON tasks")
    assert wall.MISSING not in output_of("migrate", url=owner) + output_of("check", url=owner)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP ROLE {login}_reports")


def test_with_the_setting_off_a_migration_removes_the_policies(owner: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {name_in(owner)} CREATEROLE")
    count = "SELECT count(*) FILTER (WHERE relrowsecurity), (SELECT count(*) FROM pg_policy) FROM pg_class"
    with psycopg.connect(owner, autocommit=True) as own:
        for setting, expected in (("on", len(OWNERS)), ("off", 0), ("on", len(OWNERS)), ("on", len(OWNERS))):
            output_of("migrate", url=owner, ROW_LEVEL_SECURITY=setting)
            assert own.execute(count).fetchall() == [(expected, expected)]
