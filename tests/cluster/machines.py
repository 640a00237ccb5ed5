"""The programs on the hosts: PostgreSQL, PgBouncer, todo-mcp and HAProxy, configured as in docs/scaling.md.

The configuration files and the limits of the role are read from the documents.
"""

import datetime
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cluster.network import DISK, Host
from tests.support.processes import PATIENCE, eventually
from tests.support.server_process import ROOT, environment_with, run_manage, serve_command, wait_until_ready
from todo_mcp.postgres.embedded.account import account_for
from todo_mcp.postgres.embedded.cluster import INITDB, SUPERUSER
from todo_mcp.postgres.embedded.programs import find_programs

SITE = "todo.example.com"
PASSWORD = "rehearsed"
EXAMPLES = ROOT / "docs/examples"
ROLE_LIMITS = re.findall(r"^ALTER ROLE todo .*;$", (ROOT / "docs/scaling.md").read_text(), re.MULTILINE)
UNLIMITED = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
LAN = "10.0.0.0/24"


class Postgres:
    """A PostgreSQL on a host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._data = DISK / host.name
        self._sockets = Path("/run", host.name)
        self._programs = find_programs()
        self._data.mkdir(mode=0o700)
        self._sockets.mkdir(mode=0o755)
        # This file does not exist yet, so it gives the account that replaces root.
        self._account = account_for(self._data / "PG_VERSION")
        self._account.make_readable(self._programs.parent)
        self._account.make_reachable(self._programs, self._data)
        for owned in (self._data, self._sockets):
            self._account.chown(owned)

    def make_primary(self) -> None:
        """Create a cluster with the role and the database of todo-mcp. It accepts connections from the network."""
        self._run("initdb", "-D", str(self._data), *INITDB)
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write("\nsynchronous_commit = on\nmax_connections = 60\n")
        with (self._data / "pg_hba.conf").open("a") as hba:
            hba.write(f"host todo todo {LAN} scram-sha-256\nhost replication replicator {LAN} scram-sha-256\n")
        self.start()
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE ROLE todo LOGIN PASSWORD '{PASSWORD}'")
            connection.execute(f"CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{PASSWORD}'")
            connection.execute("CREATE DATABASE todo OWNER todo")
            for statement in ROLE_LIMITS:
                connection.execute(statement)

    def make_replica(self, primary: "Postgres") -> None:
        """Create a replica of the primary. From then on the primary acknowledges nothing without the replica."""
        source = f"host={primary.host.address} user=replicator password={PASSWORD} application_name={self.host.name}"
        self._run("pg_basebackup", "-d", source, "-D", str(self._data), *shlex.split("-R -C -S replica -c fast"))
        self.start()
        with primary.connect("postgres") as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{self.host.name}'")
            connection.execute("SELECT pg_reload_conf()")
        eventually(lambda: primary.query("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"), "the replica")

    def start(self) -> None:
        self.host.start(
            [
                *(str(self._programs / "postgres"), "-D", str(self._data)),
                *("-c", f"listen_addresses={self.host.address}", "-c", f"unix_socket_directories={self._sockets}"),
            ],
            account=self._account,
        )
        eventually(self._answers, f"the {self.host.name} to start")

    def promote(self) -> None:
        """Make the replica the primary, and wait until it is."""
        assert self.query("SELECT pg_promote()") == [(True,)]

    def connect(self, database: str = "todo") -> "psycopg.Connection[Any]":
        """Connect as superuser, not through the network."""
        return psycopg.connect(host=str(self._sockets), user=SUPERUSER, dbname=database, autocommit=True)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(sql).fetchall()

    def _answers(self) -> bool:
        address = f"host={self._sockets} user={SUPERUSER} dbname=postgres"
        return psycopg.pq.PGconn.ping(address.encode()) == psycopg.pq.Ping.OK

    def _run(self, program: str, *arguments: str) -> None:
        command = self.host.command([str(self._programs / program), *arguments], self._account)
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=PATIENCE)


class Pooler:
    """PgBouncer."""

    CONFIGURATION = Path("/etc/pgbouncer/pgbouncer.ini")

    def __init__(self, host: Host, primary: Postgres) -> None:
        self._host = host
        self._account = account_for(Path("/run/none"))
        for directory in (Path("/run/postgresql"), self.CONFIGURATION.parent):
            directory.mkdir(exist_ok=True)
        self.CONFIGURATION.write_text((EXAMPLES / "pgbouncer.ini").read_text())
        ((secret,),) = primary.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'todo'")
        (self.CONFIGURATION.parent / "userlist.txt").write_text(f'"todo" "{secret}"\n')
        for directory in (Path("/run/postgresql"), self.CONFIGURATION.parent):
            self._account.chown(directory)
        self.start()

    def start(self) -> None:
        Path("/run/postgresql/pgbouncer.pid").unlink(missing_ok=True)
        command = ["pgbouncer", str(self.CONFIGURATION)]
        self._process = self._host.start(command, account=self._account)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)

    def switch_to(self, primary: Postgres) -> None:
        """Name the new primary and reload, as an operator does after a promotion."""
        text, count = re.subn(r"host=\S+", f"host={primary.host.address}", self.CONFIGURATION.read_text())
        assert count == 1
        self.CONFIGURATION.write_text(text)
        self._process.send_signal(signal.SIGHUP)


class TodoHost:
    """A host that runs todo-mcp. Every host has the same settings."""

    DRAIN = 4  # seconds; longer than the balancer's two checks

    def __init__(self, host: Host, *, balancer: str, pooler: str, primary: str) -> None:
        self.host = host
        self._settings = {
            "ENVIRONMENT": "production",
            "PUBLIC_URL": f"https://{SITE}",
            "SECRET_KEY": "rehearsed-" + "0123456789" * 5,
            "DATABASE_URL": f"postgresql://todo:{PASSWORD}@{pooler}:6432/todo",
            "DATABASE_POOLER": "transaction",
            "DRAIN_SECONDS": str(self.DRAIN),
            "QUOTA_WRITES": "0",  # one user writes all the time
            "FORWARDED_ALLOW_IPS": balancer,
        }
        direct = f"postgresql://todo:{PASSWORD}@{primary}:5432/todo?options={quote(UNLIMITED)}"
        self._direct_settings = {"DATABASE_URL": direct, "DATABASE_POOLER": "none"}

    def manage(self, *arguments: str) -> str:
        """Run a management command that connects directly to the primary. Returns its output."""
        environment = environment_with(self._settings | self._direct_settings)
        return run_manage(*arguments, environment=environment, within=self.host.command)

    def start(self) -> None:
        command = serve_command(host="0.0.0.0", workers=2)
        self._process = self.host.start(command, environment=environment_with(self._settings))

    def wait_until_ready(self) -> None:
        url = f"http://{self.host.address}:5000/readyz"
        wait_until_ready(self._process, url, self.host.log.read_text, headers={"Host": SITE})

    def restart(self) -> None:
        """Stop with SIGTERM, check the exit code, and start again."""
        self._process.terminate()
        code = self._process.wait(PATIENCE)
        assert code == 0, f"{self.host.name} ended with {code}"
        self.start()
        self.wait_until_ready()


class Balancer:
    """HAProxy, which also ends TLS."""

    def __init__(self, host: Host) -> None:
        self.url = f"https://{SITE}"
        Path("/etc/haproxy/todo.pem").write_bytes(_certificate())
        configuration = Path("/etc/haproxy/haproxy.cfg")
        configuration.write_text((EXAMPLES / "haproxy.cfg").read_text())
        host.start(["haproxy", "-f", str(configuration)])
        eventually(Path("/run/haproxy.sock").exists, "the balancer to start")

    def retries(self) -> int:
        """How often it has sent a call to a host again, since its start."""
        row = self._row("BACKEND")
        return int(row["wretr"]) + int(row["wredis"])  # to the same host, to another

    def wait_until_up(self, *servers: str) -> None:
        """Wait until it uses these hosts."""
        eventually(lambda: all(self._row(server)["status"] == "UP" for server in servers), "the balancer's checks")

    def _row(self, server: str) -> dict[str, str]:
        with socket.socket(socket.AF_UNIX) as console:
            console.connect("/run/haproxy.sock")
            console.sendall(b"show stat\n")
            with console.makefile() as answer:
                lines = [line.split(",") for line in answer.read().lstrip("# ").splitlines()]
        (row,) = [dict(zip(lines[0], line, strict=False)) for line in lines if line[:2] == ["hosts", server]]
        return row


def _certificate() -> bytes:
    """A self-signed certificate for the site, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SITE)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SITE)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private
