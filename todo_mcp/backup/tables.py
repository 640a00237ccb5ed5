"""The tables of a database: their checksums, whether they are empty, and how they are removed."""

from typing import Any

import psycopg
from django.apps import apps
from psycopg import sql

# What migrations write, so an empty database has it too.
OF_MIGRATIONS = {"django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}
# Logged tables of the schema. An extension owns its own tables.
_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r'
        AND relpersistence::text = ANY(%s)
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
            AND deptype = 'e')
    ORDER BY relname COLLATE "C"
"""
_ROUTINES = """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = quote_ident(current_schema())::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid
            AND deptype = 'e')
"""
# A sum does not depend on the order of the rows. The hash is the same in every version of PostgreSQL.
_CHECKSUM = "SELECT count(*), coalesce(sum(hashtextextended(row::text, 0)), 0)::text FROM {} AS row"
_NO_LIMITS = """
    SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN
        ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
"""
# How rows become text, whatever the server, the database and the role say.
_AS_TEXT = """
    SELECT set_config(name, setting, true) FROM (VALUES ('TimeZone', 'UTC'), ('DateStyle', 'ISO'),
        ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'), ('extra_float_digits', '1')) AS of_text (name, setting)
"""
Checksums = dict[str, list[Any]]  # table → number of rows, checksum


def lift_limits(connection: "psycopg.Connection[Any]") -> None:
    """Remove the role's time limits for the current transaction."""
    connection.execute(_NO_LIMITS)


def table_names(connection: "psycopg.Connection[Any]", persistence: str = "p") -> list[str]:
    """The tables of the current schema; by default without unlogged ones ("u"), which a crash empties."""
    return [name for (name,) in connection.execute(_TABLES, [list(persistence)]).fetchall()]


def checksums(connection: "psycopg.Connection[Any]", schema: str) -> Checksums:
    """The number of rows and the checksum of each logged table. The transaction keeps the settings for them."""
    connection.execute(_AS_TEXT)
    return {
        name: list(connection.execute(sql.SQL(_CHECKSUM).format(sql.Identifier(schema, name))).fetchall()[0])
        for name in table_names(connection)
    }


def tables_with_rows(connection: "psycopg.Connection[Any]") -> list[str]:
    """The tables that keep the database from being empty: they have rows, or they are another program's.

    Until the end of the transaction nobody else can use ours, so they stay empty.
    """
    tables = table_names(connection, "pu")
    known = {model._meta.db_table for model in apps.get_models(include_auto_created=True)} | OF_MIGRATIONS
    if ours := [sql.Identifier(name) for name in tables if name in known]:
        connection.execute(sql.SQL("LOCK {} IN ACCESS EXCLUSIVE MODE").format(sql.SQL(", ").join(ours)))
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})")

    def has_rows(name: str) -> bool:
        return bool(connection.execute(query.format(sql.Identifier(name))).fetchall()[0][0])

    return [name for name in tables if name not in known or (name not in OF_MIGRATIONS and has_rows(name))]


def remove_empty_tables(connection: "psycopg.Connection[Any]") -> None:
    """Remove the tables and functions that ``migrate`` made in an empty database."""
    if not (tables := table_names(connection, "pu")):
        return
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(names))
    for (routine,) in connection.execute(_ROUTINES).fetchall():
        connection.execute(f"DROP ROUTINE IF EXISTS {routine} CASCADE".encode())
