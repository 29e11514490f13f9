"""The PostgreSQL that tests and `make cluster` run."""

from __future__ import annotations

from pathlib import Path

import psycopg

from app.standin.postgresql import PostgreSQL


def test_it_comes_back_after_a_kill_with_what_was_committed(postgresql: PostgreSQL, postgresql_url: str) -> None:
    address = postgresql_url.replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('there')")
    postgresql.kill()
    postgresql.start()
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("there",)]


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    with PostgreSQL(durable=False) as server:
        folder, pid = server.folder, server.pid
        assert folder.is_dir()
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()
