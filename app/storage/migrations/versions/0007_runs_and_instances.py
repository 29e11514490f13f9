"""Runs and instances as lists show them, from the records that there are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_LINKS = ("retry_of", "rollback_of", "restart_of")
_installs = sa.table(
    "installs",
    *(sa.column(name) for name in ("task_id", "number", "created_at", "instance", "idempotency_key")),
    *(sa.column(name) for name in ("fleet_id", "run_id")),
    sa.column("request", sa.JSON),
)
_runs = sa.table("runs", *(sa.column(name) for name in ("run_id", "kind", "created_at", "instance", "fleet_id")))
_instances = sa.table(
    "instances",
    *(
        sa.column(name)
        for name in ("instance_id", "instance", "host", "port", "ssh_connection", "added_at", "last_run_id")
    ),
)
_fleets = sa.table("fleets", sa.column("fleet_id"), sa.column("created_at"))
_workflows = sa.table("workflows", sa.column("workflow_id"), sa.column("created_at"))
_host_keys = sa.table("host_keys", sa.column("host"), sa.column("port"), sa.column("added_at"))


def upgrade() -> None:
    op.add_column("installs", sa.Column("run_id", sa.String(36)))
    op.create_index(op.f("ix_installs_run_id_number"), "installs", ["run_id", "number"])
    _make_runs()
    _make_instances()
    _fill(op.get_bind())


def _make_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("instance", sa.Text()),
        sa.Column("fleet_id", sa.String(36)),
        sa.Column("state", sa.String(24)),
        sa.Column("search", sa.Text(), nullable=False, server_default=""),
        sa.Column("document", sa.JSON(none_as_null=True)),
        sa.Column("changes", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_created_at_run_id"), "runs", ["created_at", "run_id"])
    op.create_index(op.f("ix_runs_state_created_at"), "runs", ["state", "created_at"])
    op.create_index(op.f("ix_runs_instance_created_at"), "runs", ["instance", "created_at"])
    op.create_index(op.f("ix_runs_fleet_id_created_at"), "runs", ["fleet_id", "created_at"])


def _make_instances() -> None:
    op.create_table(
        "instances",
        sa.Column("instance_id", sa.String(36), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("host", sa.Text()),
        sa.Column("port", sa.Integer()),
        sa.Column("ssh_connection", sa.Text()),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.Column("last_run_id", sa.String(36)),
        sa.Column("packs", sa.JSON(none_as_null=True)),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_instances")),
        sa.UniqueConstraint("instance", name=op.f("uq_instances_instance")),
    )
    op.create_index(op.f("ix_instances_host_port"), "instances", ["host", "port"])


def _fill(connection: sa.Connection) -> None:
    for table, key, kind in ((_fleets, "fleet_id", "fleet"), (_workflows, "workflow_id", "workflow")):
        for row in connection.execute(sa.select(table.c[key], table.c.created_at)).all():
            connection.execute(_runs.insert().values(run_id=row[0], kind=kind, created_at=row[1]))
    made: dict[str, dict[str, Any]] = {}
    for row, run_id in _with_runs(connection):
        connection.execute(_installs.update().where(_installs.c.task_id == row["task_id"]).values(run_id=run_id))
        if run_id == row["task_id"]:
            names = ("created_at", "instance", "fleet_id")
            connection.execute(
                _runs.insert().values(run_id=run_id, kind="install", **{name: row[name] for name in names})
            )
        known = made.setdefault(row["instance"], {"instance_id": str(uuid.uuid4()), "added_at": row["created_at"]})
        host, port = _host_and_port(row["instance"])
        known |= {"instance": row["instance"], "host": host, "port": port}
        known |= {"ssh_connection": row["ssh_connection"], "last_run_id": run_id}
    _add_of_keys(connection, made)
    for values in made.values():
        connection.execute(_instances.insert().values(**values))


def _with_runs(connection: sa.Connection) -> Iterator[tuple[dict[str, Any], str]]:
    """Every install in its order, with the run that it is a part of."""
    names = ("task_id", "created_at", "instance", "idempotency_key", "fleet_id")
    texts = [_installs.c.request[name].as_string().label(name) for name in (*_LINKS, "ssh_connection")]
    workflows = set(connection.execute(sa.select(_workflows.c.workflow_id)).scalars())
    query = sa.select(*(_installs.c[name] for name in names), *texts).order_by(
        _installs.c.number, _installs.c.created_at
    )
    runs: dict[str, str] = {}
    for row in connection.execute(query).mappings().all():
        key = (row["idempotency_key"] or "").split(" ")
        of_workflow = key[1] if len(key) == 3 and key[0] == "workflow" and key[1] in workflows else None
        before = next((runs[row[name]] for name in _LINKS if row[name] in runs), None)
        runs[row["task_id"]] = of_workflow or before or row["task_id"]
        yield dict(row), runs[row["task_id"]]


def _add_of_keys(connection: sa.Connection, made: dict[str, dict[str, Any]]) -> None:
    """The instances of which nothing but a host key is known."""
    known = {(each["host"], each["port"]) for each in made.values()}
    for row in connection.execute(sa.select(_host_keys.c.host, _host_keys.c.port, _host_keys.c.added_at)).all():
        if (row.host, row.port) not in known:
            known.add((row.host, row.port))
            name = f"[{row.host}]:{row.port}" if ":" in row.host else f"{row.host}:{row.port}"
            values = {"instance_id": str(uuid.uuid4()), "instance": name, "host": row.host, "port": row.port}
            made[name] = values | {"added_at": row.added_at}


def _host_and_port(instance: str) -> tuple[str | None, int | None]:
    """Of `user@host:port`; nothing of an alias."""
    host, colon, port = instance.rpartition("@")[2].rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit()):
        return None, None
    return host.removeprefix("[").removesuffix("]"), int(port)
