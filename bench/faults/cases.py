"""The scenarios: the machines on which the cases are played, and which of them share an install."""

from __future__ import annotations

from pathlib import Path

from app.standin.packs import PackSource
from bench.faults.case import Expected, Fault, Scenario, failed
from bench.faults.clones import CLONES
from bench.faults.imports import IMPORTS, SCRIPTS
from bench.faults.packages import BY_PIP, CONFLICTS, INSTALLED, PINNED, REQUIREMENTS

_DISK = "Free some space on the instance's disk (or raise its quota), then start again"
_NO_UV = {"PIP_CONSTRAINT": "{folder}/no-uv.txt"}
SCENARIOS = (
    Scenario("clones", CLONES, request={"options": {"existing": "update"}}, warnings=["stray_folder"]),
    Scenario("requirements", REQUIREMENTS),
    Scenario("scripts and imports", SCRIPTS + IMPORTS),
    Scenario("conflicts", CONFLICTS, warnings=["one_variant"]),
    Scenario(
        "numpy 2 is installed",
        INSTALLED,
        request={"options": {"repair": "off"}},  # else the bound is first tried without
        have=("numpy>=2", "opencv-python-headless", "nodeferry-wants-numpy-2"),
        warnings=["environment_inconsistent"],
    ),
    Scenario("numpy 2 is installed and wanted", PINNED, have=("numpy>=2",)),
    Scenario("no pip, uv is there"),
    Scenario("pip beside uv", standin={"with_pip": True}),
    Scenario(
        "no uv to be had, pip",
        BY_PIP,
        standin={"with_pip": True},
        environ=_NO_UV,
        with_uv=False,
        warnings=["uv_unavailable"],
    ),
    Scenario(
        "neither uv nor pip",
        environ=_NO_UV,
        with_uv=False,
        needy=failed("no_installer", "Install uv on the instance"),
        warnings=["uv_unavailable"],
    ),
    Scenario(  # whether numpy is installed there is the machine's matter
        "system-site-packages", (*CONFLICTS[:3], *CONFLICTS[4:6]), standin={"system_site_packages": True}
    ),
    Scenario(
        "PEP 668",
        request={"venv_path": "/usr/bin/python3"},
        plain=Expected("installed"),  # that Python has no torch, so ComfyUI does not start
        needy=failed("externally_managed", "Create a virtual environment for ComfyUI on the instance"),
        warnings=["imports_unknown", "no_torch", "protected_package_left_out"],
    ),
    Scenario(
        "custom_nodes on a read-only mount",
        mount="read-only",
        run=failed("not_writable", "that the SSH login may write to"),
    ),
    Scenario(
        "custom_nodes on a full disk",
        (Fault("too large for the disk", failed("disk_full", _DISK), PackSource(payload_bytes=6_000_000)),),
        mount="4m",
    ),
    Scenario(
        "environment on a full disk",
        (
            Fault(
                "packages too large for the disk",
                failed("disk_full", _DISK),
                PackSource(requirements="numpy\n", imports=("numpy",)),
            ),
        ),
        have=("humanize",),
        mount="8m",
        mounted="venv",
    ),
)


def make_shared(folder: Path) -> None:
    """What the scenarios share: a constraint without which no uv can be had from pip."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "no-uv.txt").write_text("uv==0.0.0\n", "utf-8")
