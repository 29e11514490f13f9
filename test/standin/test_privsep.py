"""The folder that root's sshds share: made by the first stand-in, removed by the last, and by nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.standin import privsep

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's sshd wants the folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder's place, away from the system's own; no sshd is running."""
    monkeypatch.setattr(privsep, "LOCK_FILE", tmp_path / "lock")
    monkeypatch.setattr(privsep, "PRIVSEP_FOLDER", tmp_path / "sshd")
    monkeypatch.setattr(privsep, "_any_sshd", lambda: False)
    return tmp_path / "sshd"


def test_the_last_one_takes_it_away(folder: Path) -> None:
    """It is there as long as one needs it; then it is gone, and the file by which they count themselves too."""
    first, second = privsep.lease(), privsep.lease()
    privsep.release(first)
    assert folder.is_dir()
    privsep.release(second)
    assert list(folder.parent.iterdir()) == []


def test_the_systems_own_folder_stays(folder: Path) -> None:
    """What was there before is there afterwards."""
    folder.mkdir()
    privsep.release(privsep.lease())
    assert list(folder.parent.iterdir()) == [folder]


def test_a_system_sshd_that_was_started_meanwhile_keeps_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the folder nobody could log in to it any more."""
    lease = privsep.lease()
    monkeypatch.setattr(privsep, "_any_sshd", lambda: True)
    privsep.release(lease)
    assert list(folder.parent.iterdir()) == [folder]
