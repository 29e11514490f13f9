"""A change of packages that does not come to its end: nothing that was there is lost, and the rest goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from app.protocol.states import TaskState
from app.runner.environment.installed_files import damage, find
from app.standin.errors import StandInError
from app.standin.image_layers import image_layers
from test.plan.box import Box, states
from test.runner.rig import Run
from test.support.undeletable import undeletable
from test.support.uv_faults import FaultyUv
from test.support.waiting import wait_until

pytestmark = pytest.mark.registry  # uv itself comes from there; the packages do not

NAMES = ("attrz", "blinker", "mmm", "zzz")
OLD = dict.fromkeys(NAMES, "1.0")


@pytest.fixture
def old(box: Box) -> Path:
    """Four packages in their old version are installed, newer ones can be had. Where they are."""
    for name in NAMES:
        for version in ("1.0", "2.0"):
            box.index.wheel(name, version, modules=_files(name, version))
    box.have(*(f"{name}==1.0" for name in NAMES))
    assert box.environment is not None
    return box.environment.packages


def _files(name: str, version: str) -> dict[str, str]:
    """Enough of them that a change takes a while; the last one is large. Each version has files of its own."""
    files = {f"{name}/__init__.py": f"__version__ = {version!r}\n", f"{name}/v{version[0]}.py": "only = 1\n"}
    files |= {f"{name}/part{number}.py": f"part = {number}\n" for number in range(300)}
    return {**files, f"{name}/zz_large.py": f"# {version}\n" + "#" * 100_000}


def there(folder: Path) -> dict[str, str]:
    """The four packages' versions, as their metadata says; what is not whole, or not as its version is, has its fault
    behind it."""
    found = {}
    for name in NAMES:
        (package,) = find([str(folder)], [name]).get(name, [None])
        if package is not None:
            parts = {path.name for path in (folder / name).glob("v?.py")}
            mixed = parts != {f"v{package.version[0]}.py"}
            found[name] = (
                package.version
                + damage(package)
                + ("" if package.files else " without a list")
                + (f" mixed {sorted(parts)}" if mixed else "")
            )
    return found


def left_behind(folder: Path) -> list[str]:
    """Our own folders in the environment."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".nodeferry")]


def _as_egg_info(folder: Path) -> None:
    """As distutils and Debian's packages install: a file with metadata, and no list of files."""
    metadata = (folder / "blinker-1.0.dist-info" / "METADATA").read_text()
    shutil.rmtree(folder / "blinker-1.0.dist-info")
    (folder / "blinker-1.0.egg-info").write_text(metadata)


def _without_record(folder: Path) -> None:
    (folder / "blinker-1.0.dist-info" / "RECORD").unlink()


def _with_empty_record(folder: Path) -> None:
    (folder / "blinker-1.0.dist-info" / "RECORD").write_text("")


def _as_bare_egg_info_folder(folder: Path) -> None:
    metadata = (folder / "blinker-1.0.dist-info" / "METADATA").read_text()
    shutil.rmtree(folder / "blinker-1.0.dist-info")
    (folder / "blinker-1.0.egg-info").mkdir()
    (folder / "blinker-1.0.egg-info" / "PKG-INFO").write_text(metadata)


@pytest.mark.parametrize(
    "spoil",
    [_as_egg_info, _without_record, _with_empty_record, _as_bare_egg_info_folder, "immutable", "immutable later"],
)
def test_a_package_that_cannot_be_replaced_costs_only_the_packs_that_want_it(
    box: Box, old: Path, spoil: object
) -> None:
    """uv has removed others by the time it meets it. They are put back, the package is named, the rest goes on."""
    protected = {"immutable": old / "blinker" / "__init__.py", "immutable later": old / "blinker" / "part7.py"}
    if callable(spoil):
        spoil(old)
    file = protected.get(str(spoil))
    with undeletable(file) if file else nullcontext():
        run = box.run_of(
            box.pack("one", "attrz>=2"), box.pack("two", "blinker>=2", "zzz>=2"), box.pack("three", "mmm>=2")
        )
        assert states(run) == {"one": "installed", "two": "failed package_not_replaceable", "three": "installed"}, (
            run.said()
        )
        error = run.snapshot().nodes["two"].error
        assert error is not None
        assert error.message.startswith("blinker 1.0 cannot be replaced: ")
        assert error.message.endswith(" 2.0 is wanted. It was left as it is.")
        assert run.snapshot().state is TaskState.COMPLETED
        found = there(old)
        assert {name: found.get(name) for name in ("attrz", "mmm", "zzz")} == {
            "attrz": "2.0",
            "mmm": "2.0",
            "zzz": "1.0",
        }
        assert sorted(path.name for path in (old / "blinker").glob("v?.py")) == ["v1.py"]
        assert box.freeze()["blinker"] == "1.0"
        assert left_behind(old) == []


def test_what_a_killed_installer_left_of_a_package_stands_in_nobodys_way(box: Box, old: Path) -> None:
    """Only a folder of metadata, without any: what pip and uv leave when they are ended at the wrong moment."""
    (old / "leftover-1.0.dist-info").mkdir()
    box.index.wheel("leftover", "2.0")
    run = box.run_of(box.pack("one", "leftover>=2"))
    assert states(run) == {"one": "installed"}, run.said()


@pytest.fixture
def faulty(box: Box) -> FaultyUv:
    """The machine's uv, to which things happen."""
    faulty = FaultyUv(box.home / "faulty", box.uv, sys.executable)
    box.environ["PATH"] = f"{faulty.folder}:{box.environ['PATH']}"
    return faulty


def all_newer(box: Box) -> list[dict[str, object]]:
    return [box.pack(f"pack-{name}", f"{name}>=2") for name in NAMES]


def first_files(folder: Path) -> list[Path]:
    return [folder / name / "__init__.py" for name in NAMES]


def test_a_uv_that_is_killed_once_is_tried_again(box: Box, old: Path, faulty: FaultyUv) -> None:
    """The kernel does that where memory is short."""
    faulty.plan("kill", watched=first_files(old))
    run = box.run_of(*all_newer(box))
    assert set(states(run).values()) == {"installed"}, run.said()
    assert there(old) == dict.fromkeys(NAMES, "2.0")
    assert left_behind(old) == []


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.012])
def test_a_uv_that_is_killed_again_and_again_takes_nothing_with_it(
    box: Box, old: Path, faulty: FaultyUv, delay: float
) -> None:
    faulty.plan("kill", watched=first_files(old), times=9, delay=delay)
    run = box.run_of(*all_newer(box))
    found = there(old)
    assert set(found.values()) <= {"1.0", "2.0"}, found
    installed = [name for name in NAMES if states(run)[f"pack-{name}"] == "installed"]
    assert {name: found[name] for name in NAMES} == {name: "2.0" if name in installed else "1.0" for name in NAMES}
    assert left_behind(old) == []


def test_a_disk_without_room_takes_nothing_with_it(box: Box, old: Path, faulty: FaultyUv) -> None:
    """The new packages' large files cannot be written, after the old packages were removed."""
    faulty.plan("no_room", times=9, size=50_000)
    run = box.run_of(*all_newer(box))
    assert {state.split()[0] for state in states(run).values()} == {"failed"}
    assert there(old) == OLD
    assert left_behind(old) == []


def _stopped_in_the_middle(box: Box, old: Path, faulty: FaultyUv) -> Run:
    faulty.plan("stop", watched=first_files(old))
    run = box.start(all_newer(box))
    wait_until(lambda: faulty.stopped, 30, "uv stands still")
    assert there(old) != OLD, run.said()
    return run


def test_a_cancel_in_the_middle_puts_back_what_was_there(box: Box, old: Path, faulty: FaultyUv) -> None:
    run = _stopped_in_the_middle(box, old, faulty)
    run.cancel()
    assert run.snapshot().state is TaskState.CANCELLED
    assert there(old) == OLD
    assert left_behind(old) == []


def test_the_sweep_of_a_killed_run_puts_back_what_was_there(box: Box, old: Path, faulty: FaultyUv) -> None:
    """Nobody needs to start another run for that."""
    run = _stopped_in_the_middle(box, old, faulty)
    run.kill_runner()
    run.sweep()
    assert there(old) == OLD
    assert left_behind(old) == []


def test_the_next_run_puts_back_what_a_machine_that_stopped_left(box: Box, old: Path, faulty: FaultyUv) -> None:
    """Runner and uv are gone at once, and nobody swept."""
    run = _stopped_in_the_middle(box, old, faulty)
    for pid in [run.pid(), *run.processes()]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not run.processes() and run.is_over(), what="all of it is gone")
    later = box.run_of(box.pack("other"))
    assert there(old) == OLD
    assert left_behind(old) == []
    warning = next(each for each in later.snapshot().warnings if each.code == "change_undone")
    assert "They were put back as they were before: attrz, blinker, mmm, zzz." in warning.message


def test_in_a_layer_of_the_image_it_is_the_same(box: Box, old: Path, faulty: FaultyUv) -> None:
    """As in containers: what is replaced is copied, and put back from the copies."""
    faulty.plan("no_room", times=9, size=50_000)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(image_layers(box.ui_home / "venv"))
        except StandInError as exc:
            print(f"NOT A REAL OVERLAY: {exc}. Played on the plain folder.")
        run = box.run_of(*all_newer(box))
        assert {state.split()[0] for state in states(run).values()} == {"failed"}
        assert (there(old), left_behind(old)) == (OLD, [])


_RUDE = "import os; os.unlink({!r})\n"


def test_a_package_that_a_script_breaks_is_installed_again(box: Box, old: Path) -> None:
    """Its metadata is still there: only its files tell."""
    run = box.run_of(box.pack("rude", files={"install.py": _RUDE.format(str(old / "mmm" / "part7.py"))}))
    assert run.snapshot().state is TaskState.COMPLETED
    assert [each.message for each in run.snapshot().warnings if each.code == "packages_restored"] == [
        "These packages were lost during the run, and were installed again: mmm."
    ]
    assert there(old) == OLD


def test_a_package_that_a_script_patches_stays_patched(box: Box, old: Path) -> None:
    """As packs do with basicsr, whose import of torchvision is out of date."""
    patch = f"open({str(old / 'mmm' / 'part7.py')!r}, 'a').write('patched = True\\n')\n"
    run = box.run_of(box.pack("patcher", files={"install.py": patch}))
    assert (run.snapshot().state, run.snapshot().warnings) == (TaskState.COMPLETED, ())
    assert (old / "mmm" / "part7.py").read_text() == "part = 7\npatched = True\n"


def test_a_run_that_has_lost_a_package_for_good_is_no_success(box: Box, old: Path) -> None:
    """Neither the index nor uv's cache has it any more."""
    forget = f"import shutil; shutil.rmtree({box.environ['UV_CACHE_DIR']!r})\n"
    shutil.rmtree(box.index.folder / "simple" / "mmm")
    rude = _RUDE.format(str(old / "mmm" / "part7.py"))
    snapshot = box.run_of(box.pack("rude", files={"install.py": rude + forget})).snapshot()
    assert snapshot.state is TaskState.FAILED
    assert snapshot.error is not None
    assert snapshot.error.code == "packages_lost"
    assert "mmm 1.0 is damaged: mmm/part7.py is missing" in snapshot.error.message
    found = there(old)
    assert (found["attrz"], found["mmm"]) == ("1.0", "1.0mmm/part7.py is missing"), "what is left of it stays"


def test_an_old_editable_package_is_put_back(box: Box, old: Path, tmp_path: Path) -> None:
    """setuptools' `develop` leaves a link and a line in a file that all such packages share. uv takes both away."""
    source = tmp_path / "source"
    metadata = source / "devd.egg-info" / "PKG-INFO"
    for path, text in (
        (source / "devd.py", "v = 1\n"),
        (metadata, "Metadata-Version: 2.1\nName: devd\nVersion: 1.0\n"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (metadata.parent / "top_level.txt").write_text("devd\n")
    written = {old / "devd.egg-link": f"{source}\n.", old / "easy-install.pth": f"{source}\n"}
    for path, text in written.items():
        path.write_text(text)
    box.index.wheel("devd", "2.0")
    with undeletable(old / "zzz" / "part7.py"):
        run = box.run_of(box.pack("one", "devd>=2", "zzz>=2"), box.pack("two", "mmm>=2"))
    assert states(run) == {"one": "failed package_not_replaceable", "two": "installed"}, run.said()
    assert (run.snapshot().state, box.freeze()["devd"]) == (TaskState.COMPLETED, "1.0")
    assert {path: path.read_text() for path in written} == written
    assert left_behind(old) == []


def test_a_protected_file_is_named_where_uv_cannot_read_the_environment(box: Box, old: Path) -> None:
    """Nodeferry puts packages in place itself there; root may not remove such a file either."""
    odd = old / "distro_info-1.1build1.dist-info" / "METADATA"
    odd.parent.mkdir()
    odd.write_text("Metadata-Version: 2.1\nName: distro-info\nVersion: 1.1build1\n")
    with undeletable(old / "zzz" / "part7.py"):
        run = box.run_of(box.pack("one", "attrz>=2"), box.pack("two", "zzz>=2"))
    found = states(run)
    assert found["one"] == "installed"
    assert found["two"] == "failed package_not_replaceable", run.said()
    assert {name: there(old)[name] for name in ("attrz", "zzz")} == {"attrz": "2.0", "zzz": "1.0"}
