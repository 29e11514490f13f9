"""What an instance says of a second round is bounded, kept through a restart, and becomes a lock or nothing."""

from __future__ import annotations

import pytest

from app.protocol.events import RepairChanged
from app.protocol.json_fields import BadField, read_record
from app.protocol.lockfile import read_lock
from app.protocol.manifest import ManifestFault
from app.protocol.repairs import (
    MAX_ROWS,
    PackageMove,
    PackMove,
    PackTried,
    Repair,
    RepairState,
    in_words,
    lock_of,
)
from app.protocol.snapshot import Node, Snapshot, from_stored, to_stored

FOUND = Repair(
    RepairState.FOUND,
    (PackageMove("numpy", "1.26.4", "2.4.0"),),
    (PackMove("Old", "a" * 40, "b" * 40),),
    ("New", "Old"),
    (PackTried("Odd", ("numpy<2, as it asks: then New would not load any more",)),),
    5,
    61.3,
    1 << 28,
    "the time that it may take was over (300 s)",
)
NODES = {name: Node(name, f"https://host/o/{name}", folder=name, commit="c" * 40) for name in ("New", "Old", "Odd")}


def test_it_is_kept_and_shown() -> None:
    """A restarted service has what it had; a stored snapshot of an earlier version has none."""
    snapshot = Snapshot("t", 0.0, repair=FOUND)
    assert from_stored(to_stored(snapshot)) == snapshot
    earlier = to_stored(Snapshot("t", 0.0))
    del earlier["repair"]
    assert from_stored(earlier).repair is None
    assert read_record(Repair, FOUND.to_json()) == FOUND
    assert in_words(FOUND.to_json()) == [
        "With numpy 2.4.0, Old at commit bbbbbbbbbb these would load, and none would be lost: New, Old",
        "Odd was tried with numpy<2, as it asks: then New would not load any more",
        "Not all was tried: the time that it may take was over (300 s)",
    ]


def test_its_lock_has_the_packs_that_are_to_load_each_at_its_commit() -> None:
    lock = read_lock(lock_of(FOUND, NODES), ["https"])
    assert lock.repairs
    assert dict(lock.packages) == {"numpy": "2.4.0"}
    assert [(pack.name, pack.ref) for pack in lock.packs] == [("New", "c" * 40), ("Old", "b" * 40)]


@pytest.mark.parametrize(
    "move",
    [
        PackageMove("numpy @ https://evil/x.whl", None, "1"),
        PackageMove("--index-url=https://evil", None, "1"),
        PackageMove("numpy", None, "1 --hash"),
    ],
)
def test_what_could_steer_an_installer_becomes_no_lock(move: PackageMove) -> None:
    with pytest.raises(ManifestFault):
        read_lock(lock_of(Repair(RepairState.FOUND, (move,), loads=("New",)), NODES), ["https"])


def test_what_an_instance_says_is_cut() -> None:
    long = "x" * 100_000 + "\x1b[2J"
    said = Repair(
        RepairState.FOUND,
        (PackageMove(long, long, long),) * 1000,
        (PackMove("n", None, "b" * 40), PackMove("n", None, "not a commit")),
        ("\x1b[2Jname",) * 1000,
        (PackTried(long, (long,) * 1000),) * 1000,
        ended=long,
    )
    found = RepairChanged(said).repair
    assert [len(found.packages), len(found.loads), len(found.not_helped)] == [MAX_ROWS] * 3
    assert len(found.not_helped[0].tried) <= MAX_ROWS
    assert [move.new for move in found.packs] == ["b" * 40]
    assert "\x1b" not in str(found)
    assert len(found.ended) <= 300
    with pytest.raises(BadField):
        RepairChanged(Repair(RepairState.UNFINISHED))
