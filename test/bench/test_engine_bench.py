"""The engine's bench, on as little as it can be run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.engine.__main__ import main

pytestmark = [pytest.mark.sshd, pytest.mark.registry, pytest.mark.slow]


def test_it_works(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nodeferry beside the floor: both install everything, and there is a table and a picture."""
    picture = tmp_path / "bars.svg"
    assert main(["--quick", "--ways", "nodeferry,floor", "--picture", str(picture)]) == 0
    shown = capfd.readouterr().out
    assert "! " not in shown, shown
    assert "of Nodeferry" in shown
    assert picture.read_text("utf-8").startswith("<svg")
