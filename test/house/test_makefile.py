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


def test_help_fits_a_terminal() -> None:
    """80 columns, whatever a target says of itself."""
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_the_demo_asks_for_no_browser() -> None:
    """Only tests open one."""
    rule = re.search(r"^demo:(.*?)##", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
    assert rule is not None and rule[1].split() == ["demo-deps", ".venv/.runtime-ready"]
