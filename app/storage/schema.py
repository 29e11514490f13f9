"""The tables, as SQLAlchemy Core sees them. What makes them is in migrations/; a test holds the two together."""

from __future__ import annotations

from enum import Enum as PythonEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

from app.protocol.states import Outcome, TaskState

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012")
"""Every schema revision that this version knows, oldest first. Kept here so that opening need not import Alembic."""

# Named constraints, so that a later migration can change them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class _Words(TypeDecorator[Any]):
    """An enum's wire words: plain text in the database, members in Python. A word that this version does not know is
    read as `unknown`: one record must not hide the others."""

    impl = String
    cache_ok = True

    def __init__(self, enum: type[PythonEnum], unknown: PythonEnum | None) -> None:
        super().__init__(16)
        self.enum = enum
        self.unknown = unknown

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """The word of a member; a word is one already."""
        return value.value if isinstance(value, self.enum) else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """The member of a stored word."""
        return None if value is None else next((each for each in self.enum if each.value == value), self.unknown)


def _json() -> Any:
    return JSON(none_as_null=True)


installs = Table(
    "installs",
    metadata,
    Column("task_id", String(36), primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("request", JSON, nullable=False),
    Column("instance", Text, nullable=False),
    Column("ui_home", Text),
    Column("idempotency_key", Text),
    Column("state", _Words(TaskState, unknown=TaskState.QUEUED), nullable=False),
    Column("outcome", _Words(Outcome, unknown=None)),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("total", Integer, nullable=False),
    Column("successful", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("error", _json()),
    Column("revision", Integer, nullable=False),
    Column("journal_offset", BigInteger, nullable=False),
    Column("journal_seq", BigInteger, nullable=False),
    Column("snapshot", _json()),
    Column("number", BigInteger, nullable=False, server_default="0"),
    Column("lease_owner", Text),
    Column("lease_token", BigInteger, nullable=False, server_default="0"),
    Column("lease_expires_at", Double),
    Column("retried_by", String(36)),
    Column("auto_retry_open", Boolean, nullable=False, server_default=false()),
    Column("fleet_id", String(36)),
    Column("fleet_position", Integer),
    Column("seal", Text),
    Column("run_id", String(36)),
    Column("manifest_sha256", String(64)),
    Index(None, "number"),
    Index(None, "instance", "number"),
    Index(None, "state", "number"),
    Index(None, "fleet_id", "number"),
    Index(None, "auto_retry_open"),
    Index(None, "idempotency_key", "created_at"),
    Index(None, "run_id", "number"),
    Index(None, "manifest_sha256"),
)
"""`manifest_sha256`: where the manifest of `request` is kept, if not in it."""

manifests = Table(
    "manifests",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("content", JSON, nullable=False),
    Column("used_at", Double, nullable=False),
)
"""Manifests that many installs have in common. `used_at`: when one was last stored with it (Unix seconds)."""

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("instance", Text),
    Column("fleet_id", String(36)),
    Column("state", String(24)),
    Column("tone", String(8)),
    Column("search", Text, nullable=False, server_default=""),
    Column("document", _json()),
    Column("changes", Integer, nullable=False, server_default="0"),
    Index(None, "created_at", "run_id"),
    Index(None, "state", "created_at"),
    Index(None, "instance", "created_at"),
    Index(None, "fleet_id", "created_at"),
)
"""One row for each run (installs with all that follows them, workflows, fleets). `state`, `tone`: of its summary once
it has ended, None while it goes on or is to be looked at; `document`: its row in lists, made then; `changes`: grows
with each task that joins it, so that nobody writes an end over a new beginning."""

instances = Table(
    "instances",
    metadata,
    Column("instance_id", String(36), primary_key=True),
    Column("instance", Text, nullable=False),
    Column("host", Text),
    Column("port", Integer),
    Column("ssh_connection", Text),
    Column("added_at", Double, nullable=False),
    Column("last_run_id", String(36)),
    Column("packs", _json()),
    UniqueConstraint("instance"),
    Index(None, "host", "port"),
)
"""The instances that are remembered. `packs`: names of the node packs that runs have left ready there."""

fleets = Table(
    "fleets",
    metadata,
    Column("fleet_id", String(36), primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("idempotency_key", Text),
    Column("instances", JSON, nullable=False),
    Index(None, "created_at"),
    Index(None, "idempotency_key", "created_at"),
)

host_keys = Table(
    "host_keys",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("host", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("key_type", Text, nullable=False),
    Column("key_base64", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("added_at", Double, nullable=False),
    Column("source", Text, nullable=False),
    UniqueConstraint("host", "port", "key_type", "key_base64"),
)

workflows = Table(
    "workflows",
    metadata,
    Column("workflow_id", String(36), primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("document", JSON, nullable=False),
    Index(None, "created_at"),
    Index(None, "state"),
)
