"""How people write the address of a PostgreSQL: what means something works, the rest is told without its password."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from app.domain.database_scheme import with_driver
from app.protocol.snapshot import Problem
from app.settings import Settings, settings_from
from app.standin.postgresql import PostgreSQL, programs
from app.storage import InstallStore, StorageError, open_database
from app.storage.listening import listening
from app.storage.postgresql_address import arguments, place, read
from test.house.sources import ROOT
from test.storage.records import new_record

SECRET = "cOrrect-h0rse"


@pytest.fixture(scope="module")
def strict() -> Iterator[PostgreSQL]:
    """A server that asks for a password, whose user `owner` has one and may create databases."""
    if programs() is None:
        pytest.skip("There is no PostgreSQL here; `make test-deps` installs Debian's.")
    with PostgreSQL(durable=False, max_connections=30) as server:
        with _admin(server) as connection:
            connection.execute(f"CREATE ROLE owner LOGIN PASSWORD '{SECRET}@1' CREATEDB")
            connection.execute(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}@1'")
            connection.execute("CREATE DATABASE mine OWNER owner")
        hba = server.folder / "data" / "pg_hba.conf"
        hba.write_text("local all postgres trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n")
        with _admin(server, host=str(server.folder)) as connection:
            connection.execute("SELECT pg_reload_conf()")
        yield server


def _admin(server: PostgreSQL, host: str = "127.0.0.1") -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host=host, port=server.port, user="postgres", dbname="postgres", autocommit=True)


def refused(url: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        open_database(url).dispose()
    told = f"{caught.value.message} {caught.value.hint}"
    assert SECRET not in told
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "scheme",
    ["postgres", "postgresql", "POSTGRESQL", "pgsql", "jdbc:postgresql", "postgresql+psycopg2", "postgresql+asyncpg"],
)
def test_every_scheme_that_others_use_means_the_driver_that_is_there(scheme: str) -> None:
    settings = settings_from({"NODEFERRY_DATABASE_URL": f" {scheme}://u@h/n\n", "NODEFERRY_ROLE": "web"})
    assert settings.database_url == "postgresql+psycopg://u@h/n"
    assert settings.is_shared


@pytest.mark.parametrize("address", ["", "sqlite:////a/b.db", "mysql://h/n"])
def test_other_addresses_stay_as_they_are(address: str) -> None:
    assert with_driver(address) == address
    assert not Settings(database_url=address).is_shared


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://u:p%40%3A%2F%25@h:5433/n", {"host": "h", "port": 5433, "password": "p@:/%"}),
        ("postgresql://u@[::1]:5433/n", {"host": "::1", "port": 5433}),
        ("postgresql://u@a:5432,[::2],b:5433/n", {"host": "a,::2,b", "port": "5432,5432,5433"}),
        ("postgresql://u@a,b/n?target_session_attrs=read-write", {"host": "a,b", "user": "u"}),
        ("postgresql://u@/n?host=a:1&host=b:2", {"host": "a,b", "port": "1,2"}),
        ("postgresql://%2Frun%2Fpostgresql/n", {"host": "/run/postgresql"}),
        ("postgresql:///n?host=/run/postgresql&user=u", {"host": "/run/postgresql", "user": "u"}),
        ("postgresql://u@h/n?options=-c%20search_path%3Dx", {"options": "-c search_path=x"}),
        ("jdbc:postgresql://h/n?user=u&password=p", {"user": "u", "password": "p"}),
    ],
)
def test_what_libpq_is_told_is_what_was_written(address: str, words: dict[str, object]) -> None:
    url = read(address)
    assert not isinstance(url, Problem)
    told = arguments(url)
    assert {name: told.get(name) for name in words} == words


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://u:a@{SECRET}@h/n",
        f"postgresql://u:a@{SECRET}:x@h:1/n",
        f"postgresql://u:{SECRET}@h:port/n",
        f"postgresql://u:{SECRET}",
        SECRET,
    ],
)
def test_an_address_that_is_none_is_told_without_what_may_be_a_password(address: str) -> None:
    assert "address of the database" in refused(address).message


def test_a_place_has_no_secrets() -> None:
    url = make_url(f"postgresql+psycopg://u:{SECRET}@h/n?password={SECRET}&sslpassword={SECRET}&sslmode=require")
    assert place(url) == "postgresql+psycopg://u:***@h/n?sslmode=require"


@pytest.mark.postgresql
@pytest.mark.parametrize("where", ["tcp", "folder", "query"])
def test_a_password_with_odd_characters_opens_it_by_every_way(strict: PostgreSQL, where: str) -> None:
    host = {
        "tcp": f"127.0.0.1:{strict.port}/mine",
        "folder": f"{str(strict.folder).replace('/', '%2F')}:{strict.port}/mine",
        "query": f"/mine?host={strict.folder}&port={strict.port}",
    }[where]
    engine = open_database(f"postgres://owner:{SECRET}%401@{host}")
    record = new_record()
    InstallStore(engine).add(record)
    assert InstallStore(engine).get(record.task_id) == record
    with listening(engine, ["x"]) as heard:
        assert heard.receive(0.0) == []
    engine.dispose()


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("address", "message", "hint"),
    [
        (f"owner:{SECRET}@HOST/mine", "refuses the login: password authentication failed", "%40"),
        ("owner@HOST/mine", "no password supplied", "%40"),
        (f"nobody:{SECRET}@HOST/mine", "refuses the login", "pg_hba.conf"),
        (f"owner:{SECRET}%401@HOST/none", "There is no database", "createdb"),
        (f"guest:{SECRET}%401@HOST/mine", "may not do that", "ALTER DATABASE"),
        (f"owner:{SECRET}%401@HOST/mine?sslmode=require", "No TLS connection", "sslmode"),
        (f"owner:{SECRET}%401@HOST/mine?sslmode=verify-full", "No TLS connection", "sslrootcert"),
        (f"owner:{SECRET}%401@HOST/mine?sslmode=on", "option that PostgreSQL does not know", "libpq"),
        (f"owner:{SECRET}%401@HOST/mine?schema=public", "option that PostgreSQL does not know", "libpq"),
        (f"owner:{SECRET}%401@127.0.0.1:1/mine", "does not answer: Connection refused", "reached from here"),
        (f"owner:{SECRET}%401@no-such-host.invalid/mine", "does not answer: ", "reached from here"),
    ],
)
def test_what_cannot_be_opened_says_what_to_write(strict: PostgreSQL, address: str, message: str, hint: str) -> None:
    told = refused("postgresql://" + address.replace("HOST", f"127.0.0.1:{strict.port}"))
    assert message in told.message
    assert hint in told.hint


@pytest.mark.postgresql
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused(postgresql: PostgreSQL, encoding: str) -> None:
    name = f"test_{encoding.lower()}"
    with _admin(postgresql) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    try:
        told = refused(postgresql.url(name))
        assert f"stores texts as {encoding}" in told.message
        assert "--encoding UTF8" in told.hint
    finally:
        postgresql.drop(name)


@pytest.mark.postgresql
def test_a_schema_of_its_own_is_used_by_every_connection(postgresql_url: str) -> None:
    engine = open_database(postgresql_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA apart"))
    engine.dispose()
    engine = open_database(postgresql_url + "?options=-c%20search_path%3Dapart")
    InstallStore(engine).add(new_record())
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM apart.installs")).scalar() == 1
    with psycopg.connect(**arguments(engine.url)) as raw:
        assert raw.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (1,)
    engine.dispose()


@pytest.mark.postgresql
@pytest.mark.parametrize("words", [["worker"], ["serve", "--port", "0"], ["token", "list"], ["config", "show"]])
def test_the_command_line_says_no_password(strict: PostgreSQL, words: list[str], tmp_path: Path) -> None:
    url = f"postgres://owner:{SECRET}@127.0.0.1:{strict.port}/mine"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NODEFERRY_DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "run.py", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert SECRET not in done.stdout + done.stderr
    assert f"***@127.0.0.1:{strict.port}/mine" in done.stdout + done.stderr
    assert (done.returncode == 0) == (words == ["config", "show"])
