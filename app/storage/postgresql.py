"""How PostgreSQL is connected to, and what its errors mean. Imports no driver: SQLAlchemy does that, where one is used.

Nothing may hang: a connection that brings no answer is ended by the system, a statement and a wait for a lock by the
server. A pooled connection is tried before it is used, so that a server that was away is found again by itself.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from app.protocol.redaction import masked
from app.protocol.snapshot import Problem
from app.protocol.terminal_text import one_line
from app.storage.postgresql_address import ENCODED

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 20
LOCK_SECONDS = 10
_POOL = 30

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
    "max_overflow": 0,
    "pool_timeout": 10.0,
}
"""At most 30 connections a process, which are kept: where those above the tenth were closed after use, hundreds of
installs made PostgreSQL fork for most of their transactions."""

_AGAIN = "It is asked again with the next request; installs that run go on."
_RESTARTS = Problem("database_unavailable", "The database {where} is being restarted.", _AGAIN)
_LOST = Problem("database_unavailable", "The connection to the database {where} was lost.", _AGAIN)
_UNAVAILABLE = Problem(
    "database_unavailable",
    "The database {where} does not answer{why}.",
    "Check that PostgreSQL runs and is reached from here.",
)
_BUSY = Problem("database_locked", "The database {where} was busy with the same for too long.", "Try it again.")
_MANY = Problem(
    "database_unavailable",
    "The database {where} takes no more connections.",
    f"Raise max_connections of PostgreSQL: each process may have {_POOL}, and a few more.",
)
_REFUSED = Problem(
    "database_unavailable",
    "The database {where} refuses the login{why}.",
    f"Check the user and the password in NODEFERRY_DATABASE_URL, and PostgreSQL's pg_hba.conf. {ENCODED}",
)
_NO_TLS = Problem(
    "database_unavailable",
    "No TLS connection to the database {where}{why}.",
    "Check sslmode and sslrootcert in NODEFERRY_DATABASE_URL, and the server's certificate. sslrootcert=system takes "
    "the certificates of this host.",
)
_OPTIONS = Problem(
    "database_unavailable",
    "The address of the database {where} has an option that PostgreSQL does not know{why}.",
    "Behind the ? stand options of libpq, such as sslmode=require: "
    "https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS",
)
_UNKNOWN = Problem("database_unavailable", "There is no database {where}.", "Create it: createdb --owner USER NAME")
_RIGHTS = Problem(
    "database_read_only",
    "The user of the database {where} may not do that there.",
    "Make the user the owner of the database: ALTER DATABASE NAME OWNER TO USER",
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
# libpq gives no SQLSTATE for what goes wrong while connecting; what the server says of it is in the server's language.
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
    ("no password supplied", _REFUSED),
    ("not permitted to log in", _REFUSED),
    ("permission denied for database", _REFUSED),
    ('role "', _REFUSED),
    ("invalid connection option", _OPTIONS),
    ("invalid sslmode", _OPTIONS),
    ("invalid integer value", _OPTIONS),
    ("certificate", _NO_TLS),
    ("SSL", _NO_TLS),
    ("does not exist", _UNKNOWN),
    ("server closed the connection", _LOST),  # libpq says so of a line that was cut, too
)
_ENCODING = Problem(
    "database_unavailable",
    "The database {where} stores texts as {what}, and Nodeferry needs UTF8.",
    "Make one that does: createdb --owner USER --encoding UTF8 --template template0 NAME",
)
OLDEST = 14
_OLD = Problem(
    "database_unavailable",
    f"The server of the database {{where}} is PostgreSQL {{what}}; Nodeferry needs {OLDEST} or newer.",
    "Upgrade the server, or name another one in NODEFERRY_DATABASE_URL.",
)
_CONNECTING = frozenset({"OperationalError", "ConnectionTimeout", "PoolTimeout", "InterfaceError"})
_WHY_LENGTH = 200


def set_up_session(connection: Any, _: object) -> None:
    """Listener for an engine's `connect` event."""
    before, connection.autocommit = connection.autocommit, True
    cursor = connection.execute(f"{SESSION}; SELECT pg_backend_pid()")
    while cursor.nextset():
        pass
    if cursor.fetchone() != (connection.info.backend_pid,):
        connection.prepare_threshold = None  # a pooler, which may give each transaction another connection
    connection.autocommit = before


def unsuitable(info: Any) -> Problem | None:
    """Why a server cannot hold a history, from what a psycopg connection knows of it; None for one that can."""
    encoding, version = info.parameter_status("server_encoding"), info.server_version // 10_000
    if encoding not in (None, "UTF8"):
        return replace(_ENCODING, message=_ENCODING.message.replace("{what}", encoding))
    if version < OLDEST:
        return replace(_OLD, message=_OLD.message.replace("{what}", str(version)))
    return None


def problem_of(error: BaseException) -> Problem | None:
    """What a psycopg error means, with `{where}` for the database; None for one that is a fault of ours."""
    state = getattr(error, "sqlstate", None) or ""
    for beginning, problem in _BY_STATE:
        if state.startswith(beginning):
            return _with_why(problem, "")
    if state:
        return None
    found = next((problem for words, problem in _BY_WORDS if words in str(error)), None)
    if found is None and type(error).__name__ in _CONNECTING:
        found = _UNAVAILABLE
    return found and _with_why(found, _why(str(error)))


def _with_why(problem: Problem, why: str) -> Problem:
    return replace(problem, message=problem.message.replace("{why}", why))


def _why(words: str) -> str:
    """libpq's own words, without where it was connecting to."""
    first = next(iter(words.strip().splitlines()), "")
    said = one_line(masked(re.sub(r"^.*(?:failed: |FATAL:\s+)", "", first))).strip().rstrip(".")[:_WHY_LENGTH]
    return ": " + said.replace("{", "(").replace("}", ")") if said else ""
