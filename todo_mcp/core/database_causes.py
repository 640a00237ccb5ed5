"""Why the database cannot be used. The log and the metric ``todo_database_faults_total`` name the cause."""

from enum import StrEnum


class DatabaseCause(StrEnum):
    """A cause. docs/troubleshooting.md says what to do about each."""

    UNREACHABLE = "unreachable"
    STARTING = "starting"
    STOPPED = "stopped"
    NO_SLOT = "no_slot"
    TLS = "tls"
    ACCESS = "access"
    NO_DATABASE = "no_database"
    WRONG_TABLES = "wrong_tables"
    READ_ONLY = "read_only"
    DISK_FULL = "disk_full"
    STORAGE = "storage"
    RESOURCES = "resources"
    LOST = "lost"
    TIMEOUT = "timeout"
    CONFLICT = "conflict"
    OTHER = "other"

    @property
    def text(self) -> str:
        """The cause as the end of a sentence."""
        return _TEXTS[self]


_TEXTS = {
    DatabaseCause.UNREACHABLE: "it cannot be reached",
    DatabaseCause.STARTING: "it starts, recovers or shuts down",
    DatabaseCause.STOPPED: "it ended the session",
    DatabaseCause.NO_SLOT: "it has no free connection slot",
    DatabaseCause.TLS: "TLS failed or was refused",
    DatabaseCause.ACCESS: "it refuses the user, the password or a permission",
    DatabaseCause.NO_DATABASE: "there is no such database, or it accepts no connections",
    DatabaseCause.WRONG_TABLES: "it does not have the tables of this version",
    DatabaseCause.READ_ONLY: "it is read-only",
    DatabaseCause.DISK_FULL: "its disk is full",
    DatabaseCause.STORAGE: "it cannot read or write its files",
    DatabaseCause.RESOURCES: "it has too little memory or another resource",
    DatabaseCause.LOST: "the connection was lost",
    DatabaseCause.TIMEOUT: "it took too long",
    DatabaseCause.CONFLICT: "transactions conflicted three times",
    DatabaseCause.OTHER: "it refuses the work",
}
