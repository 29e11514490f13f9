"""The Makefile explains itself."""

from __future__ import annotations

import re
import subprocess

from test.house.sources import ROOT


def test_help_names_every_target() -> None:
    """`make help` lists every target that a person would call."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    assert set(re.findall(r"^  make (\S+)", shown, flags=re.MULTILINE)) == targets
