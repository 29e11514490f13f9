"""Environments that uv cannot read, or that tell it what is not so: packs are installed, and what was there stays."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.runner.environment.consistency import complaints
from app.runner.environment.environment import Environment
from app.runner.environment.inspection import inspect
from app.runner.resolve.metadata_mirror import MetadataMirror
from app.standin.environment import make_environment
from app.standin.ubuntu_packages import UBUNTU_PACKAGES, install_ubuntu_packages
from test.plan.box import Box, plan_of, states
from test.plan.conftest import BoxFactory
from test.runner.rig import Run
from test.support.odd_packages import KINDS, Odd, egg, wheel

pytestmark = pytest.mark.registry


def site_of(box: Box) -> Path:
    return next(box.ui_home.glob("venv/lib/python3.*/site-packages"))


def seen(box: Box) -> Environment:
    assert box.environment is not None
    return inspect(str(box.environment.python))


def files_of(folder: Path) -> dict[str, str]:
    """The content of every file but what Python compiles and uv locks."""

    def each() -> Iterator[tuple[str, str]]:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and path.name != ".lock":
                yield str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()

    return dict(each())


def warned(run: Run) -> list[str]:
    return [warning.code for warning in run.snapshot().warnings]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_there_counts_and_stays_however_odd_it_is(box: Box, kind: str) -> None:
    """Packs get what they require; no index has what is there, so it would not do without. A second run too."""
    odds, site = KINDS[kind], site_of(box)
    for version in ("1.0", "2.0"):
        box.index.wheel("kept", version)
    box.index.wheel("fresh", "1.0")
    box.have("kept==1.0")
    for odd in odds:
        odd.plant(site, odd.package)
    there = [odd.package for odd in odds if odd.version is not None]
    box.index.wheel("needs", "1.0", [*there, "fresh"])
    before = files_of(site)
    run = box.run_of(box.pack("plain", "fresh"), box.pack("asks", "needs", *there), box.pack("kept", "kept>=1"))
    assert set(states(run).values()) == {"installed"}, run.said()
    assert {change["package"] for change in plan_of(run)} == {"fresh", "needs"}
    after = files_of(site)
    assert {name: after.get(name) for name in before} == before
    found = seen(box).packages
    assert {odd.package: found.get(odd.package) for odd in odds} == {odd.package: odd.version for odd in odds}
    assert (found["fresh"], found["kept"]) == ("1.0", "1.0")
    again = box.run_of(box.pack("later", "needs>=1", "fresh"), options={"verify": True})
    assert (states(again), plan_of(again), warned(again)) == ({"later": "verified"}, [], [])


@pytest.mark.parametrize("odd", [odd for kind in KINDS.values() for odd in kind], ids=lambda odd: odd.kind)
def test_both_readers_see_the_same(tmp_path: Path, odd: Odd) -> None:
    """ComfyUI's own interpreter, and the runner beside it: one alone would plan against another environment."""
    made = make_environment(tmp_path / "venv", with_pip=False)
    wheel()(made.packages, "kept")
    odd.plant(made.packages, odd.package)
    found = inspect(str(made.python))
    assert found.packages.get(odd.package) == odd.version
    assert MetadataMirror(tmp_path / "mirror", found.paths).look() == found.packages
    assert not [text for text in complaints(found) if "gone" not in text]


def test_every_interpreter_answers(tmp_path: Path) -> None:
    """Of those that are here, whatever lies in its folders; one before 3.8 has no packages that it can tell."""
    site = tmp_path / "site"
    for odd in (odd for kind in KINDS.values() for odd in kind):
        odd.plant(site, odd.package)
    for python in interpreters():
        found = inspect(starter(tmp_path, python, site))
        assert found.version
        old = found.version.startswith(("3.6.", "3.7."))
        assert found.packages.get("odd-wheel-1-1build1") == (None if old else "1.1build1"), found.version


def interpreters() -> list[str]:
    """This one, and those on PATH that run: a version manager names more."""
    named = [shutil.which(f"python3.{minor}") for minor in range(6, 16)]
    asked = [(path, subprocess.run([path, "-V"], capture_output=True, check=False)) for path in named if path]
    return [sys.executable, *(path for path, done in asked if done.returncode == 0)]


def starter(folder: Path, python: str, site: Path) -> str:
    """Starts an interpreter that finds packages in a folder too."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {python} "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_ubuntus_packages_are_taken_as_they_are(box_factory: BoxFactory) -> None:
    """An environment that sees them: what fits stays, another version goes beside it, the system is not touched."""
    box = box_factory(system_site_packages=True)
    assert box.environment is not None
    system = box.environment.packages
    install_ubuntu_packages(system)
    for name, version in (("blinker", "1.9.0"), ("fresh", "1.0"), ("six", "1.17.0")):
        box.index.wheel(name, version)
    box.index.wheel("needs", "1.0", ["distro-info>=1.0", "python-debian", "keyring>=20", "launchpadlib", "fresh"])
    before = files_of(system)
    told = {package.name.lower().replace(".", "-"): package.version for package in UBUNTU_PACKAGES}
    assert told.items() <= seen(box).packages.items()
    run = box.run_of(
        box.pack("uses", "needs", "python-apt>=2", "systemd-python", "ufw"),
        box.pack("newer", "blinker>=1.6"),
        box.pack("same", "six>=1.10", "pyyaml", "distro-info"),
    )
    assert set(states(run).values()) == {"installed"}, run.said()
    assert {(change["package"], change["old"]) for change in plan_of(run)} == {
        ("needs", None),
        ("fresh", None),
        ("blinker", "1.4"),
    }
    assert files_of(system) == before
    assert seen(box).packages["blinker"] == "1.9.0"
    assert warned(run) == []
    rolled_back = box.install([], rollback_of=run.task_id, options={"verify": False})
    assert told.items() <= seen(box).packages.items(), rolled_back.said()
    assert files_of(system) == before


@pytest.fixture
def unreadable(box: Box) -> Box:
    """A machine whose environment uv refuses: one package has a version of a system's own."""
    wheel("1.1build1")(site_of(box), "distro-info")
    for version in ("1.0", "2.0"):
        box.index.wheel("changed", version)
        box.index.wheel("distro-info", version)
    files = {
        "tool/__init__.py": "def main():\n    print('it works')\n",
        "tool-1.0.dist-info/entry_points.txt": "[console_scripts]\ntool = tool:main\n",
        "tool-1.0.data/data/share/tool/read.me": "read",
        "tool-1.0.data/scripts/tool-too": "#!python\nprint('so does it')\n",
    }
    box.index.wheel("tool", "1.0", modules=files)
    wheel("1.0")(site_of(box), "changed")
    return box


def test_packages_are_put_in_place_where_uv_refuses(unreadable: Box) -> None:
    """New ones with all their parts, a newer version instead of an older one; told in words, undone by a rollback."""
    box, site = unreadable, site_of(unreadable)
    before = files_of(box.ui_home / "venv")
    run = box.run_of(box.pack("one", "tool"), box.pack("two", "changed>=2"))
    assert set(states(run).values()) == {"installed"}, run.said()
    assert not list(site.glob("changed-1.0*"))
    found = seen(box).packages
    assert (found["changed"], found["tool"], found["distro-info"]) == ("2.0", "1.0", "1.1build1")
    for script in ("tool", "tool-too"):
        done = subprocess.run([box.ui_home / "venv" / "bin" / script], capture_output=True, check=True, text=True)
        assert "it" in done.stdout
    recorded = [line.split(",")[0] for line in (site / "tool-1.0.dist-info" / "RECORD").read_text().splitlines()]
    assert [name for name in recorded if not (site / name).is_file()] == []
    assert (box.ui_home / "venv" / "share" / "tool" / "read.me").read_text() == "read"
    assert warned(run) == ["unreadable_package"]
    assert "distro_info-1.1build1.dist-info" in run.snapshot().warnings[0].message
    assert not list(run.folder.glob("staged*"))
    rolled_back = box.install([], rollback_of=run.task_id, options={"verify": False})
    after = files_of(box.ui_home / "venv")
    ours = {name for name in {*before, *after} if "changed" not in name}
    assert {name: after.get(name) for name in ours} == {name: before.get(name) for name in ours}, rolled_back.said()
    assert seen(box).packages["changed"] == "1.0"


def test_another_version_of_what_uv_cannot_read_replaces_it(unreadable: Box) -> None:
    """From then on uv reads the environment."""
    box = unreadable
    run = box.run_of(box.pack("one", "distro-info>=2"))
    assert states(run) == {"one": "installed"}, run.said()
    assert [(change["old"], change["new"]) for change in plan_of(run)] == [("1.1build1", "2.0")]
    assert seen(box).packages["distro-info"] == "2.0"
    assert not list(site_of(box).glob("distro_info-1.1*"))
    later = box.run_of(box.pack("two", "tool"))
    assert (states(later), warned(later)) == ({"two": "installed"}, [])


def test_what_cannot_be_replaced_there_is_blamed_and_stays(unreadable: Box) -> None:
    """Nobody knows its files. Its pack fails with its name; the other packs get theirs."""
    box = unreadable
    egg("1.0", in_file=True)(site_of(box), "locked")
    box.index.wheel("locked", "2.0")
    before = files_of(site_of(box))
    run = box.run_of(box.pack("one", "locked>=2"), box.pack("two", "tool"))
    assert states(run)["two"] == "installed", run.said()
    told = run.snapshot().nodes["one"].error
    assert told is not None and "locked" in told.message
    after = files_of(site_of(box))
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize("exact", [True, False])
def test_a_lock_with_versions_of_the_systems_own(unreadable: Box, box_factory: BoxFactory, exact: bool) -> None:
    """As it is where they are; elsewhere it is said of them alone that no index has them."""
    box = unreadable
    made = box.run_of(box.pack("one", "tool", "changed>=2"))
    lock = made.snapshot().lock
    assert lock is not None
    again = box.install({"lock": dict(lock)}, options={"verify": False, "exact": exact})
    assert (states(again), again.snapshot().error) == ({"one": "installed"}, None), again.said()
    other = box_factory()
    run = other.install({"lock": dict(lock)}, options={"verify": False, "exact": exact})
    if exact:
        error = run.snapshot().error
        assert error is not None and "distro-info" in error.message and "1.1build1" in error.message
        return
    assert states(run) == {"one": "installed"}, run.said()
    assert (seen(other).packages["changed"], seen(other).packages["tool"]) == ("2.0", "1.0")
    assert [text for text in (each.message for each in run.snapshot().warnings) if "distro-info" in text]


@pytest.mark.parametrize("conda", [True, False])
def test_a_python_of_its_own_is_as_good_as_a_venv(box: Box, conda: bool) -> None:
    """conda's environments, and images that have ComfyUI's packages in the system's Python."""
    prefix = box.home / "python"
    site = own_python(prefix)
    if conda:
        (prefix / "conda-meta").mkdir()
    for odd in (*KINDS["versions"], *KINDS["leftovers"]):
        odd.plant(site, odd.package)
    box.index.wheel("fresh", "1.0")
    box.index.wheel("needs", "1.0", ["odd-wheel-1-1build1", "odd-two", "fresh"])
    before = files_of(prefix)
    run = box.install([box.pack("one", "needs")], venv_path=str(prefix), options={"verify": False})
    assert states(run) == {"one": "installed"}, run.said()
    assert {change["package"] for change in plan_of(run)} == {"needs", "fresh"}
    after = files_of(prefix)
    assert {name: after.get(name) for name in before} == before
    assert inspect(str(prefix / "bin" / "python")).packages["fresh"] == "1.0"


def own_python(prefix: Path) -> Path:
    """A Python that is no venv: this one's, with folders of its own. Where its packages are."""
    lib = prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    (lib / "site-packages").mkdir(parents=True)
    for path in Path(sysconfig.get_path("stdlib")).iterdir():
        if path.name not in ("site-packages", "dist-packages", "EXTERNALLY-MANAGED"):
            (lib / path.name).symlink_to(path)
    (prefix / "bin").mkdir()
    shutil.copy2(Path(sys.executable).resolve(), prefix / "bin" / "python3")
    (prefix / "bin" / "python").symlink_to("python3")
    return lib / "site-packages"
