"""System libraries and programs that builds, install.py and imports lack: named, and installed where that is wanted."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from app.protocol.events import QuestionAsked
from app.runner.machine.apt import Apt
from app.runner.process.children import Children
from app.standin.apt import StandInApt
from test.plan.box import Box, states
from test.runner.rig import Run
from test.support.waiting import wait_until

pytestmark = [pytest.mark.registry, pytest.mark.skipif(os.geteuid() != 0, reason="apt-get is for root")]

CAIRO = "libcairo2-dev"
MESON = """
import os, sys
if not os.path.exists({file!r}):
    print('../cairo/meson.build:31:12: ERROR: Dependency "cairo" not found (tried pkg-config and cmake)')
    raise SystemExit(1)
"""
"""As pycairo's build ends, on stdout."""


@pytest.fixture
def apt(box: Box, tmp_path: Path) -> StandInApt:
    """The machine's."""
    apt = StandInApt(tmp_path / "apt", [CAIRO, "pkg-config", "ffmpeg", "libgl1", "libglib2.0-0t64"])
    box.environ["PATH"] = f"{apt.bin}:{box.environ['PATH']}"
    return apt


def real_apt(folder: Path) -> Apt:
    """For whatever apt-get is on PATH."""
    return Apt(Children("apt", folder / "groups", threading.Event()), folder / "log")


def cairo(box: Box, apt: StandInApt) -> None:
    box.index.sdist("pycairo", "1.0", building=MESON.format(file=str(apt.file_of(CAIRO))))


def told(run: Run) -> dict[str, str]:
    """The warnings about system packages, with their hints."""
    found = [each for each in run.snapshot().warnings if each.code.startswith("system_packages")]
    return {each.code: f"{each.message} {each.hint}" for each in found}


@pytest.mark.parametrize("option", ["off", "ask"])
def test_what_is_missing_is_named_and_nothing_is_installed_unasked(box: Box, apt: StandInApt, option: str) -> None:
    cairo(box, apt)
    run = box.run_of(box.pack("one", "pycairo"), options={"system_packages": option})
    assert states(run) == {"one": "failed system_library_missing"}, run.said()
    error = run.snapshot().nodes["one"].error
    assert error is not None and 'Dependency "cairo" not found' in error.message
    assert f"apt-get install -y {CAIRO} pkg-config (or retry with system_packages set to install)" in error.hint
    assert apt.calls == []


def test_who_is_asked_says_whether_it_is_installed(box: Box, apt: StandInApt) -> None:
    """Once for the whole run, with what is missing."""
    cairo(box, apt)
    options = {"system_packages": "ask", "ask": "ask", "verify": False}
    run = box.start([box.pack("one", "pycairo")], options=options)
    wait_until(lambda: run.told(QuestionAsked), 60, "it asks")
    [asked] = run.told(QuestionAsked)
    assert (asked.question.default, asked.question.facts) == ("leave", {"packages": [CAIRO, "pkg-config"]})
    box.call("answer", run.task_id, f"--question={asked.question.id}", "--answer=install")
    run.wait()
    assert states(run) == {"one": "installed"}, run.said()
    assert len(run.told(QuestionAsked)) == 1


def test_a_missing_library_is_installed_and_the_build_tried_again(box: Box, apt: StandInApt) -> None:
    """The lists of packages are fetched first: images come without. What came is told, and how to remove it."""
    cairo(box, apt)
    run = box.run_of(box.pack("one", "pycairo"), options={"system_packages": "install"})
    assert states(run) == {"one": "installed"}, run.said()
    assert told(run) == {
        "system_packages_installed": f"Installed with apt-get, since packs need them: {CAIRO}, pkg-config. A rollback "
        f"leaves them there. To remove them, run on the instance: apt-get remove -y {CAIRO} pkg-config"
    }
    step = run.snapshot().steps["Install system packages"]
    assert (str(step.status), step.detail) == ("success", f"{CAIRO}, pkg-config")
    real = [call for call in apt.calls if call.startswith("apt-get") and " -s " not in call and "update" not in call]
    assert len(real) == 1 and "--no-remove" in real[0] and "-y" in real[0]


def test_where_it_cannot_be_installed_the_pack_fails_as_before(box: Box, apt: StandInApt) -> None:
    apt.play("locked")
    cairo(box, apt)
    run = box.run_of(box.pack("one", "pycairo"), options={"system_packages": "install"})
    assert states(run) == {"one": "failed system_library_missing"}, run.said()
    said = told(run)["system_packages_failed"]
    assert "another program (unattended-upgr, process 4711) holds dpkg's lock" in said
    assert f"as root: apt-get install -y {CAIRO} pkg-config. Then retry." in said


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("offline", "its package servers were not reached"),
        ("locked", "another program (unattended-upgr, process 4711) holds dpkg's lock"),
        ("interrupted", "an earlier installation was cut short: run dpkg --configure -a"),
        ("gpu", "it would change the GPU's own packages (libnvidia-compute-535)"),
        ("unknown", "the instance's package lists have no libcairo2-dev"),
    ],
)
def test_why_it_cannot_be_installed_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str, words: str
) -> None:
    stand_in = StandInApt(tmp_path / "apt", ["pkg-config"] if shape == "unknown" else [CAIRO])
    monkeypatch.setenv("PATH", str(stand_in.bin), prepend=":")
    stand_in.play(shape)
    done = real_apt(tmp_path).install([CAIRO])
    assert words in done.problem and done.added == ()
    assert not stand_in.file_of(CAIRO).exists()


def test_without_apt_get_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "has no apt-get" in real_apt(tmp_path).why_not()


def test_an_install_script_gets_the_program_that_it_lacks(box: Box, apt: StandInApt) -> None:
    script = f"import os, subprocess\nif not os.path.exists({str(apt.file_of('ffmpeg'))!r}):\n"
    script += "    subprocess.run(['ffmpeg', '-version'], env={'PATH': '/nowhere'}, check=True)\n"
    run = box.run_of(box.pack("one", install_py=script), options={"system_packages": "install"})
    assert states(run) == {"one": "installed"}, run.said()
    assert "ffmpeg" in told(run)["system_packages_installed"]


def test_an_import_gets_the_library_that_it_lacks(box: Box, apt: StandInApt) -> None:
    """And what is hardly ever missing alone, by the name that this release has for it."""
    words = "libGL.so.1: cannot open shared object file: No such file or directory"
    code = f"import os\nif not os.path.exists({str(apt.file_of('libgl1'))!r}):\n    raise ImportError({words!r})\n"
    pack = box.pack("one", files={"__init__.py": code + "NODE_CLASS_MAPPINGS = {'one': object}\n"})
    run = box.run_of(pack, options={"system_packages": "install", "verify": True})
    assert states(run) == {"one": "verified"}, run.said()
    assert apt.file_of("libglib2.0-0t64").exists()


@pytest.mark.long
def test_the_machines_own_apt_get_tries_a_small_package(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A real one, without trace: it is removed again if it was not there before."""
    if not shutil.which("apt-get") or shutil.which("hello"):
        pytest.skip("this machine has no apt-get, or has GNU hello already")
    apt = real_apt(tmp_path)
    assert apt.why_not() == ""
    request.addfinalizer(lambda: subprocess.run(["apt-get", "purge", "-y", "hello"], capture_output=True, check=False))
    assert "no nodeferry-no-such-package" in apt.install(["nodeferry-no-such-package"]).problem
    done = apt.install(["nodeferry-other-name|hello"])
    assert (done.added, done.problem) == (("hello",), "")
    assert shutil.which("hello")
