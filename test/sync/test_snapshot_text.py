"""The stored form of a snapshot, made piece by piece."""

from __future__ import annotations

import json
from random import Random

import pytest

from app.protocol.snapshot import from_stored, to_stored
from app.sync.installs.snapshot_text import SnapshotText
from test.protocol.events_for_tests import fold, whole_run
from test.support.random_journals import snapshots


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_the_whole_snapshot_would_be(seed: int) -> None:
    """Of each snapshot of a run, in their order, and of those of another run after them."""
    text = SnapshotText()
    for each in (*snapshots(Random(seed), 60), *snapshots(Random(seed + 100), 30)):
        assert json.loads(text.of(each).text) == json.loads(json.dumps(to_stored(each)))


def test_it_can_be_read_again() -> None:
    whole = fold(whole_run().told)
    assert from_stored(json.loads(SnapshotText().of(whole).text)) == whole


def test_the_order_of_packs_stays() -> None:
    text = SnapshotText()
    for length in range(1, len(whole_run().told) + 1):
        snapshot = fold(whole_run().told[:length])
        assert list(json.loads(text.of(snapshot).text)["nodes"]) == list(snapshot.nodes)
