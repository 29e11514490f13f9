"""A manifest that many installs have in common is kept once, and every record has it all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, func, select, update

from app.domain.record import InstallRecord
from app.storage.history import History
from app.storage.install_store import InstallStore, add_records
from app.storage.schema import installs, manifests
from app.storage.transactions import reading, writing
from test.storage.records import new_record

LONG = {"urls": [f"https://github.com/owner/pack-{number}" for number in range(100)]}


def _add(engine: Engine, *wanted: dict[str, Any]) -> list[InstallRecord]:
    made = [new_record() for _ in wanted]
    records = [
        replace(record, request={**record.request, "manifest": dict(manifest)})
        for record, manifest in zip(made, wanted, strict=True)
    ]
    with writing(engine) as connection:
        add_records(connection, records)
    return records


def _kept(engine: Engine) -> tuple[int, int]:
    """How many manifests there are, and how many characters all requests have."""
    with reading(engine) as connection:
        number = connection.execute(select(func.count()).select_from(manifests)).scalar_one()
        length = func.sum(func.length(installs.c.request.cast(manifests.c.sha256.type)))
        return number, connection.execute(select(length)).scalar_one()


def test_each_record_has_what_all_of_them_share(engine: Engine) -> None:
    """However they are read: one, many, those that have not ended."""
    records = _add(engine, LONG, LONG, LONG)
    number, length = _kept(engine)
    assert number == 1
    assert length < 3 * 1000
    store = InstallStore(engine)
    for record in records:
        known = store.get(record.task_id)
        assert known is not None
        assert known.request == record.request
    assert [each.request for each in store.unfinished()] == [each.request for each in records]
    assert {each.request["manifest"]["urls"][7] for each in store.list()} == {LONG["urls"][7]}
    assert set(store.some([each.task_id for each in records])) == {each.task_id for each in records}


def test_short_ones_and_those_of_one_install_stay_in_their_records(engine: Engine) -> None:
    _add(engine, {"urls": ["https://github.com/owner/pack"]}, {"urls": ["https://github.com/owner/pack"]})
    _add(engine, LONG)
    assert _kept(engine)[0] == 0


def test_the_same_one_again_is_not_kept_twice_and_another_is_kept_too(engine: Engine) -> None:
    other = {"urls": [*LONG["urls"], "https://github.com/owner/one-more"]}
    _add(engine, LONG, LONG)
    mixed = _add(engine, LONG, other)
    assert _kept(engine)[0] == 2
    store = InstallStore(engine)
    assert [store.some([each.task_id])[each.task_id].request["manifest"] for each in mixed] == [LONG, other]


def test_one_that_no_install_has_any_more_is_forgotten_a_day_later(engine: Engine) -> None:
    records = _add(engine, LONG, LONG)
    History(engine).remove_groups(0.0)
    assert _kept(engine)[0] == 1, "it is used"
    with writing(engine) as connection:
        connection.execute(update(installs).values(state="failed"))
    History(engine).remove([each.task_id for each in records])
    History(engine).remove_groups(0.0)
    with reading(engine) as connection:
        assert connection.execute(select(manifests.c.sha256)).first(), "somebody may be about to use it"
    with writing(engine) as connection:
        connection.execute(update(manifests).values(used_at=0.0))
    History(engine).remove_groups(0.0)
    with reading(engine) as connection:
        assert connection.execute(select(manifests.c.sha256)).first() is None


def test_many_change_in_one_commit_but_those_that_another_has_taken_over(engine: Engine) -> None:
    mine, other = _add(engine, LONG, LONG)
    store = InstallStore(engine)
    lost = store.update_all([(mine.task_id, 0, {"state": "cancelled"}), (other.task_id, 7, {"state": "cancelled"})])
    assert lost == {other.task_id}
    found = store.some([mine.task_id, other.task_id])
    assert [found[each.task_id].state.value for each in (mine, other)] == ["cancelled", "queued"]
