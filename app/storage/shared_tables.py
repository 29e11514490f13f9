"""The tables that only PostgreSQL has: what lies in a data folder where one process is alone.

`documents`: by their names; `revision` is never used twice, so that a document that was removed and made anew differs.
`task_logs`: `is_open` from when a task's logs begin to be kept until all of them are here; `written_by`: who keeps them
just now; `is_cut`: they are too large together. `log_files`: how much of each log is here, `log_pieces`: its bytes,
each piece at its place.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, LargeBinary, MetaData, Sequence, String, Table, Text, false

metadata = MetaData()
revisions = Sequence("document_revisions", metadata=metadata)

documents = Table(
    "documents",
    metadata,
    Column("name", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False, server_default=revisions.next_value()),
    Column("written_at", Double, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

task_logs = Table(
    "task_logs",
    metadata,
    Column("task_id", String(36), primary_key=True),
    Column("is_open", Boolean, nullable=False, server_default=false()),
    Column("written_by", String(36)),
    Column("is_cut", Boolean, nullable=False, server_default=false()),
)

log_files = Table(
    "log_files",
    metadata,
    Column("task_id", String(36), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("base", BigInteger, nullable=False),
    Column("is_full", Boolean, nullable=False),
)

log_pieces = Table(
    "log_pieces",
    metadata,
    Column("task_id", String(36), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("at", BigInteger, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
