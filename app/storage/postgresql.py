"""How PostgreSQL is connected to, and what its errors mean. Imports no driver: SQLAlchemy does that, where one is used.

Nothing may hang: a connection that brings no answer is ended by the system, a statement and a wait for a lock by the
server. A pooled connection is tried before it is used, so that a server that was away is found again by itself.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL

from app.protocol.snapshot import Problem

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 20
LOCK_SECONDS = 10
_POOL = 10
_MORE = 20

CONNECTION: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "nodeferry",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""What libpq is told: a peer that is silent for 15 to 25 s is gone."""
_IDLE_SECONDS = 8
SESSION = (
    f"SET statement_timeout = '{STATEMENT_SECONDS}s'; SET lock_timeout = '{LOCK_SECONDS}s';"
    f" SET idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'; SET tcp_keepalives_idle = 10;"
    " SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '15s'"
)
"""What each session is told. Not by libpq's `options`, which poolers refuse. The locks of a process that was frozen or
cut off in the middle of a transaction are given back sooner than another one's wait for them ends."""
POOL: dict[str, Any] = {
    "pool_pre_ping": True,
    "pool_use_lifo": True,
    "pool_size": _POOL,
    "max_overflow": _MORE,
    "pool_timeout": 10.0,
}
"""At most 30 connections a process, of which those that rest for long are the ones that are not needed."""

_AWAY = "The database {where} does not answer"
_AGAIN = "It is asked again with the next request; installs that run go on."
_RESTARTS = Problem("database_unavailable", "The database {where} is being restarted.", _AGAIN)
_LOST = Problem("database_unavailable", "The connection to the database {where} was lost.", _AGAIN)
_UNAVAILABLE = Problem("database_unavailable", _AWAY + ".", "Check that PostgreSQL runs and is reached from here.")
_BUSY = Problem("database_locked", "The database {where} was busy with the same for too long.", "Try it again.")
_MANY = Problem(
    "database_unavailable",
    "The database {where} takes no more connections.",
    f"Raise max_connections of PostgreSQL: each process may have {_POOL + _MORE}, and a few more.",
)
_REFUSED = Problem(
    "database_unavailable",
    "The database {where} refuses the login.",
    "Check the user and the password in NODEFERRY_DATABASE_URL, and PostgreSQL's pg_hba.conf.",
)
_UNKNOWN = Problem("database_unavailable", "There is no database {where}.", "Create it: createdb -O USER NAME")
_RIGHTS = Problem(
    "database_read_only",
    "The user of the database {where} may not do that there.",
    "Make the user the owner of the database.",
)
# By SQLSTATE or its class: https://www.postgresql.org/docs/current/errcodes-appendix.html
_BY_STATE: tuple[tuple[str, Problem], ...] = (
    ("57P05", _UNAVAILABLE),
    ("57P", _RESTARTS),
    ("57014", _BUSY),
    ("55P03", _BUSY),
    ("40", _BUSY),
    ("53100", Problem("database_full", "The disk of the database {where} is full.", "Free some space there.")),
    ("53300", _MANY),
    ("53", Problem("database_unavailable", "The database {where} is out of memory or of something else.", _AGAIN)),
    ("25006", Problem("database_read_only", "The database {where} cannot be written.", "Use the primary server.")),
    ("28", _REFUSED),
    ("3D000", _UNKNOWN),
    ("42501", _RIGHTS),
    ("XX00", Problem("database_corrupt", "The database {where} is damaged.", "Look into PostgreSQL's log.")),
    ("08", _UNAVAILABLE),
)
# libpq gives no SQLSTATE for what the server says while connecting; it says it in the language of the server.
_BY_WORDS: tuple[tuple[str, Problem], ...] = (
    ("too many clients", _MANY),
    ("remaining connection slots", _MANY),
    ("too many connections", _MANY),
    ("is starting up", _RESTARTS),
    ("is shutting down", _RESTARTS),
    ("in recovery mode", _RESTARTS),
    ("not yet accepting connections", _RESTARTS),
    ("authentication failed", _REFUSED),
    ("no pg_hba.conf entry", _REFUSED),
    ("does not exist", _UNKNOWN),
    ("server closed the connection", _LOST),  # libpq says so of a line that was cut, too
)
_CONNECTING = frozenset({"OperationalError", "ConnectionTimeout", "PoolTimeout", "InterfaceError"})


def with_driver(url: URL) -> URL:
    """A PostgreSQL's URL with the driver that Nodeferry uses, however it is written (`postgres://`)."""
    is_other = url.drivername in ("postgres", "postgresql")
    return url.set(drivername="postgresql+psycopg") if is_other else url


def set_up_session(connection: Any, _: object) -> None:
    """Listener for an engine's `connect` event."""
    before, connection.autocommit = connection.autocommit, True
    connection.execute(SESSION)
    connection.autocommit = before


def problem_of(error: BaseException) -> Problem | None:
    """What a psycopg error means, with `{where}` for the database; None for one that is a fault of ours."""
    state = getattr(error, "sqlstate", None) or ""
    for beginning, problem in _BY_STATE:
        if state.startswith(beginning):
            return problem
    if state or type(error).__name__ not in _CONNECTING:
        return None
    return next((problem for words, problem in _BY_WORDS if words in str(error)), _UNAVAILABLE)
