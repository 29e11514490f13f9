"""Changes of packages that are ended at a random moment: a fixed sample of what `make prove-apply` plays."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.apply.__main__ import play_all, summary

SAMPLE = range(1000, 1012)

pytestmark = [pytest.mark.registry, pytest.mark.quiet]  # uv itself comes from there; faults strike within milliseconds


def test_no_sequence_of_changes_and_faults_loses_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each package stays whole: all as before the change, or all as planned, whatever ended it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    played = play_all(tmp_path, SAMPLE, 1, 300.0, lambda _one, _left: None)
    assert len(played) == len(SAMPLE)
    assert not [one for one in played.values() if one.wrong], summary(list(played.values()), 1)
    assert sum(one.struck for one in played.values()) > len(SAMPLE), "most changes were ended early"
