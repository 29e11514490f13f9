"""The units of systemd, as its own programs read them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from test.house.sources import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
PROGRAM = "/opt/nodeferry/bin/nodeferry"
MOST_EXPOSURE = 20
"""Of 100, as `systemd-analyze security` counts: what it may do beyond that has to be said why."""


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Every line `Name=value`, by its name."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text("utf-8"), flags=re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def hardening_of(unit: Path) -> list[str]:
    """The lines from the one that says so to the next part."""
    lines = unit.read_text("utf-8").splitlines()
    begin = lines.index("# What it may do to its machine: write its own folder, and speak over the network.")
    return lines[begin : lines.index("[Install]")]


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """As they would be installed, with a program that is there; of templates an instance."""
    made = []
    for unit in UNITS:
        text = unit.read_text("utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / unit.name).write_text(text, "utf-8")
        made.append(tmp_path / unit.name.replace("@.", "@5000."))
        made[-1].write_text(text, "utf-8")
    return made


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("There is no systemd-analyze here.")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_takes_them_without_a_warning(units: list[Path]) -> None:
    """Names, values and specifiers."""
    done = analyze("verify", "--man=no", *map(str, units))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_systemd_finds_little_that_they_may_do(units: list[Path]) -> None:
    for unit in units:
        done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", "--no-pager", str(unit))
        assert done.returncode == 0, done.stdout[-600:]


def test_each_is_of_its_own_user_and_writes_one_folder() -> None:
    """Which systemd makes, and which is HOME or below it."""
    for unit in UNITS:
        said = settings_of(unit)
        assert (said["User"], said["Group"]) == (["nodeferry"], ["nodeferry"])
        assert (said["ProtectSystem"], said["NoNewPrivileges"], said["Restart"]) == (["strict"], ["yes"], ["always"])
        assert "ReadWritePaths" not in said
        environment = dict(line.split("=", 1) for line in said["Environment"])
        folder = environment["NODEFERRY_DATA_DIR"].removeprefix("/var/lib/")
        assert folder in said["StateDirectory"][0].split(), unit.name
        assert environment["HOME"] == "/var/lib/nodeferry"


def test_they_are_guarded_alike() -> None:
    """Whoever changes one changes all."""
    assert len({tuple(hardening_of(unit)) for unit in UNITS}) == 1


def test_every_process_of_a_host_has_a_folder_and_a_port_of_its_own() -> None:
    """Named by what stands behind the @."""
    for unit in UNITS:
        if "@" in unit.name:
            said = settings_of(unit)
            assert "%i" in said["StateDirectory"][0] and "%i" in " ".join(said["Environment"])
            assert "--port %i" in said["ExecStart"][0]
