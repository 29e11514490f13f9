"""What SQLite takes, PostgreSQL takes too, and both give it back as it was."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select

from app.domain.record import InstallRecord
from app.storage import InstallStore, open_database
from app.storage.history import History
from app.storage.postgresql_text import as_it_was, json_as_it_was, storable, storable_json
from app.storage.schema import installs
from app.storage.transactions import reading


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, database_url: str) -> Iterator[Engine]:
    """Both kinds of database."""
    opened = open_database(request.getfixturevalue("postgresql_url") if request.param == "postgresql" else database_url)
    yield opened
    opened.dispose()


TEXTS = ["a\0b", "\0", "\ue000", "\ue0000000", "\ue000\0", "\\u0000", "\\\0", "\U0001f600", "\\ue0000000", ""]
ONLY_IN_JSON = ["\ud800", "\udc00\ud800", "x\ud83dx\U0001f600", "\ud800\U00010000", "\\\ud800"]


@pytest.mark.parametrize("text", TEXTS + ONLY_IN_JSON)
def test_a_document_has_any_text(store: InstallStore, engine: Engine, text: str) -> None:
    """It is read as it was written, and its other fields can still be asked for."""
    record = InstallRecord(
        str(uuid.uuid4()), 1.0, {"odd": text, text: "odd", "retry_of": "x"}, "h", snapshot={"t": [text]}
    )
    store.add(record)
    found = store.get(record.task_id)
    assert found is not None and (found.request, found.snapshot) == (record.request, record.snapshot)
    assert [past.refers_to for past in History(engine).all()] == [("x",)]
    if engine.dialect.name == "postgresql":  # SQLite ends such a text at its first odd letter
        with reading(engine) as connection:
            assert connection.execute(select(installs.c.request["odd"].as_string())).scalar_one() == text


@pytest.mark.parametrize("text", TEXTS)
def test_a_column_has_any_text_and_is_found_by_it(store: InstallStore, text: str) -> None:
    record = InstallRecord(str(uuid.uuid4()), 1.0, {}, f"root@{text}", ui_home=text)
    store.add(record)
    found = store.list(instance=f"root@{text}")
    assert [(each.task_id, each.instance, each.ui_home) for each in found] == [(record.task_id, f"root@{text}", text)]


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_is_stored_that_postgresql_refuses(text: str) -> None:
    """And two texts are never stored as one."""
    assert "\0" not in storable(text) and as_it_was(storable(text)) == text
    assert json_as_it_was(storable_json(f'"{text}"')) == f'"{text}"'
