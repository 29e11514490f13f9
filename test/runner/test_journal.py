"""The journal as the run itself reads it."""

from __future__ import annotations

from pathlib import Path

from app.protocol import progress_json
from app.protocol.events import Probed
from app.runner.daemon.journal import Journal


def test_the_snapshot_has_all_that_was_emitted_before(tmp_path: Path) -> None:
    """A run decides by it (whether to roll back, what its lock says), however slow the disk is."""
    first = progress_json.initial("t", 0.0, auto_installer=False)
    journal = Journal(tmp_path / "journal", first, tmp_path / "progress", lambda _exc: None)
    for number in range(200):
        for fact in ("one", "other"):
            journal.emit(Probed("/ComfyUI", {fact: number}))
        assert (journal.snapshot.probe["one"], journal.snapshot.probe["other"]) == (number, number)
    journal.close()
    assert journal.snapshot.probe["other"] == 199, "after the end it is there too"


def test_nobody_waits_for_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    """The full disk has ended its thread: the snapshot is what was written until then."""
    first = progress_json.initial("t", 0.0, auto_installer=False)
    faults: list[Exception] = []
    journal = Journal(tmp_path / "journal", first, tmp_path / "progress", faults.append)
    journal.emit(Probed("/ComfyUI", {"written": True}))
    assert journal.snapshot.probe["written"]
    (tmp_path / "reserve").unlink()
    (tmp_path / "journal").unlink()
    (tmp_path / "journal").mkdir()
    journal.emit(Probed("/ComfyUI", {"written": False}))
    assert journal.snapshot.probe["written"]
    assert faults
