"""Packs that install when they are imported, and ComfyUI's own requirements, looked at last of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.protocol.states import Phase, StepStatus
from test.guard.conftest import pip, uv, verified, warnings
from test.guard.test_scripts import INSTALLERS, Call
from test.plan.box import Box
from test.support.package_index import PackageIndex
from test.verify.test_restart import Running

pytestmark = pytest.mark.slow

NODES = "\nNODE_CLASS_MAPPINGS = {%r: object}\n"


@INSTALLERS
def test_what_an_import_moves_is_put_back_and_told(box: Box, index: PackageIndex, call: Call) -> None:
    """numpy, which another pack needs as it was; torch is refused to it."""
    index.wheel("numpy", "1.26.4"), index.wheel("numpy", "2.4.0")
    index.wheel("torch", "2.10.0")
    torch = "try:\n    %s\nexcept subprocess.CalledProcessError:\n    print('no other torch')\n"
    code = call("install", "-U", "numpy") + torch % call("install", "torch==2.10.0").strip().replace("\n", "\n    ")
    run = verified(
        box, box.pack("careful", "numpy<2"), box.pack("importer", files={"__init__.py": code + NODES % "importer"})
    )
    assert box.freeze()["numpy"] == "1.26.4"
    told = warnings(run)
    assert (
        "Importing the packs changed installed packages: numpy 1.26.4 -> 2.4.0. It was probably importer."
        in told["changed_at_import"]
    )
    assert "careful needs numpy<2" in told["changed_at_import"]
    assert "protected_changed" not in told
    assert run.snapshot().phases[Phase.VERIFY].status is StepStatus.SUCCESS


def test_what_comfyui_itself_requires_and_cannot_be_had_again_fails_verify(box: Box, index: PackageIndex) -> None:
    """A script removes it, and the index has it no more: told by name, and the run does not read as good."""
    index.wheel("aiohttp", "3.9")
    box.have("aiohttp==3.9")
    (box.ui_home / "requirements.txt").write_text("torch\naiohttp>=3 ; python_version > '3'\nnever-there\n")
    gone = f"import shutil, os\nshutil.rmtree({str(index.folder / 'simple' / 'aiohttp')!r})\n"
    gone += "shutil.rmtree(os.environ['UV_CACHE_DIR'], ignore_errors=True)\n"
    run = verified(box, box.pack("remover", install_py=pip("uninstall", "-y", "aiohttp", then=gone)))
    told = warnings(run, ended="failed")
    error = run.snapshot().error
    assert error is not None and error.code == "packages_lost"
    assert "ComfyUI needs aiohttp>=3, and it is not installed" in error.message
    assert "aiohttp 3.9 could not be put back, and it is not installed" in told["not_put_back"]
    assert "ComfyUI needs aiohttp>=3, and it is not installed" in told["comfyui_needs_lost"]
    assert "never-there" not in told["comfyui_needs_lost"]
    phase = run.snapshot().phases[Phase.VERIFY]
    assert phase.status is StepStatus.FAILED
    assert "aiohttp" in phase.detail


def test_with_verify_switched_off_comfyuis_own_requirements_are_still_looked_at(box: Box, index: PackageIndex) -> None:
    """Nobody imports anything, yet what is lost is told."""
    index.wheel("aiohttp", "3.9")
    box.have("aiohttp==3.9")
    (box.ui_home / "requirements.txt").write_text("torch\naiohttp\n")
    run = box.run_of(box.pack("remover", install_py=uv("uninstall", "aiohttp")))
    assert box.freeze()["aiohttp"] == "3.9"
    assert set(warnings(run)) == {"changed_by_script"}


def test_what_a_restart_takes_from_comfyui_is_put_back(box: Box, index: PackageIndex) -> None:
    """Only the real start uninstalls it; that start has no constraints of ours, since nothing of it is a check."""
    index.wheel("aiohttp", "3.9")
    box.have("aiohttp==3.9")
    (box.ui_home / "requirements.txt").write_text("torch\naiohttp\n")
    code = "import os, sys\nif '--quick-test-for-ci' not in sys.argv:\n    "
    code += pip("uninstall", "-y", "aiohttp").replace("\n", "\n    ")
    comfyui = Running(box)
    comfyui.start()
    try:
        run = verified(box, box.pack("late", files={"__init__.py": code + NODES % "late"}), options={"restart": True})
        (pid,) = comfyui.pids()
        assert b"PIP_CONSTRAINT" not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        comfyui.end()
    assert box.freeze()["aiohttp"] == "3.9"
    told = warnings(run)
    assert set(told) == {"changed_at_restart", "comfyui_needs_restored"}
    assert (
        "Nodeferry put back aiohttp 3.9 (ComfyUI needs aiohttp, and it is not installed)"
        in told["comfyui_needs_restored"]
    )
    assert run.snapshot().phases[Phase.VERIFY].status is StepStatus.SUCCESS


def test_a_pack_that_fails_by_our_own_downgrade_is_told_so(box: Box, index: PackageIndex) -> None:
    """Which package, for whom, and what a rollback would do."""
    old = {"numpy/__init__.py": "__version__ = '1.26.4'\n"}
    new = {"numpy/__init__.py": "__version__ = '2.4.0'\n", "numpy/exceptions.py": ""}
    index.wheel("numpy", "1.26.4", modules=old), index.wheel("numpy", "2.4.0", modules=new)
    box.have("numpy==2.4.0")
    run = verified(
        box,
        box.pack("bounds", "numpy<2"),
        box.pack("needs", files={"__init__.py": "import numpy.exceptions\n" + NODES % "needs"}),
        options={"repair": "off"},  # else the bound is first tried without
    )
    error = run.snapshot().nodes["needs"].error
    assert error is not None
    assert "This run has brought numpy down from 2.4.0 to 1.26.4, for bounds." in error.message
    assert "Rolling this task back brings numpy 2.4.0 again: then this pack may load, and bounds may not." in error.hint
