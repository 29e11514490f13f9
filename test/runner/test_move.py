"""A move that cannot be a rename: nothing is lost, whenever it is killed and whatever is refused."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.runner.files import tree
from app.runner.files.mounts import mounted_in
from app.runner.files.move import discard, move, settle_all
from app.runner.hints.reasons import of_os
from app.standin.errors import StandInError
from app.standin.image_layers import small_disk
from test.house.sources import ROOT
from test.runner.killed_moves import NOT_LOCKED
from test.runner.rig import names_in
from test.support.pack_tree import another_file_system, tree_of, write_pack
from test.support.refused import cannot_be_removed


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    with another_file_system(tmp_path) as folder:
        yield folder


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "custom_nodes" / "pack"
    write_pack(folder)
    return folder


def test_everything_comes_along(pack: Path, other: Path) -> None:
    """Modes, times, owners, links of both kinds, a pipe, extended attributes."""
    before = tree_of(pack)
    if os.geteuid() == 0:
        os.chown(pack / "model.bin", 1234, 1234)
        before = tree_of(pack)
    os.setxattr(pack / "tool", "user.mark", b"mine")
    move(pack, other / "pack")
    assert tree_of(other / "pack") == before
    assert names_in(pack.parent) == []
    assert names_in(other) == ["pack"]
    move(other / "pack", pack)
    assert tree_of(pack) == before
    if "user.mark" in os.listxattr(other):  # a memory file system of an older kernel has none
        assert os.getxattr(pack / "tool", "user.mark") == b"mine"


@pytest.mark.parametrize("seen", ["visible", "hidden", "locked"])
def test_it_may_be_killed_before_every_single_step(tmp_path: Path, other: Path, seen: str) -> None:
    """And what settles it too. Before and after, ComfyUI never sees half of it."""
    argv = [sys.executable, "-m", "test.runner.killed_moves", str(tmp_path), str(other), seen, "1"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    if NOT_LOCKED in done.stderr:
        print(f"{done.stderr} A folder that may not be written is played by another test.")
        return
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


@pytest.fixture
def locked_file(pack: Path) -> Iterator[Path]:
    """A file of the pack that nobody can remove, not even root."""
    path = pack / "nodes" / "deep" / "b.py"
    with cannot_be_removed(path, pack.parent):
        yield path


def test_a_file_that_cannot_be_removed_undoes_it(pack: Path, other: Path, locked_file: Path) -> None:
    """It would leave half a pack where ComfyUI looks."""
    before = tree_of(pack)
    with pytest.raises(PermissionError) as raised:
        move(pack, other / "pack")
    problem = of_os(raised.value)
    assert problem.code == "not_permitted"
    assert str(locked_file) in problem.message
    assert tree_of(pack) == before
    assert names_in(pack.parent) == ["pack"]
    assert names_in(other) == []


def test_a_file_that_cannot_be_removed_stays_out_of_sight(pack: Path, locked_file: Path) -> None:
    """Where the folder itself can be renamed."""
    assert not discard(pack)
    assert [name for name in names_in(pack.parent) if not name.endswith(".disabled")] == []
    assert not settle_all([pack.parent])
    assert list(pack.parent.rglob(locked_file.name))


_WRITER = """
import os, sys
from pathlib import Path
from app.runner.files.move import move
source, target = Path(sys.argv[1]), Path(sys.argv[2])
written = []
def comfyui(event, args):
    if event == "os.rename" and str(args[1]) == str(target) and os.path.exists(args[0]) and not written:
        written.append(True)
        if ".nodeferry-copy-" in str(args[0]):
            with open(source / "model.bin", "ab") as file:
                file.write(b"more")
            (source / "late.txt").write_text("mine")
        else:
            written.clear()
sys.addaudithook(comfyui)
try:
    move(source, target)
except OSError as exc:
    print(exc.errno, exc.strerror)
"""


def test_what_is_written_meanwhile_is_not_lost(pack: Path, other: Path) -> None:
    """By a ComfyUI that runs on, when the copy is already whole: a model grows, and a new file comes."""
    grown = (pack / "model.bin").read_bytes() + b"more"
    argv = [sys.executable, "-c", _WRITER, str(pack), str(other / "pack")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{errno.EBUSY} It was changed while its folder was moved\n"
    assert (pack / "model.bin").read_bytes() == grown
    assert (pack / "late.txt").read_text() == "mine"
    assert (names_in(pack.parent), names_in(other)) == (["pack"], [])


def test_a_copy_that_would_fill_the_disk_is_not_begun(pack: Path, other: Path) -> None:
    with open(pack / "huge.bin", "wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(OSError, match="needs a copy of 8388608 MB") as raised:
        move(pack, other / "pack")
    assert of_os(raised.value).code == "disk_full"
    assert (names_in(other), names_in(pack.parent)) == ([], ["pack"])


@pytest.fixture
def full_disk(tmp_path: Path, other: Path) -> Iterator[Path]:
    """A file system that has the bytes, but not the files. Where none can be mounted, the limit of a file's size
    (RLIMIT_FSIZE) refuses the model."""
    try:
        with small_disk(tmp_path / "small", megabytes=8, files=12):
            yield tmp_path / "small"
    except StandInError as exc:
        print(f"NO SMALL DISK CAN BE MOUNTED HERE, files are limited instead: {exc.message}")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        yield other
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_is_full_in_the_middle_undoes_it(pack: Path, full_disk: Path) -> None:
    """The source is untouched, nothing is left of the copy, and the words say what to do."""
    before = tree_of(pack)
    with pytest.raises(OSError, match="No space left|File too large") as raised:
        move(pack, full_disk / "pack")
    if raised.value.errno != errno.EFBIG:
        problem = of_os(raised.value)
        assert (problem.code, "Free some space" in problem.hint) == ("disk_full", True)
    assert tree_of(pack) == before
    assert (names_in(full_disk), names_in(pack.parent)) == ([], ["pack"])


def test_what_is_in_the_way_of_a_move_stays(pack: Path, other: Path) -> None:
    (other / "pack").mkdir()
    (other / "pack" / "mine").write_text("mine")
    with pytest.raises(OSError, match="not empty"):
        move(pack, other / "pack")
    assert names_in(other / "pack") == ["mine"]
    assert (pack / "__init__.py").exists()


def test_single_files_and_links_are_moved_too(pack: Path, other: Path) -> None:
    before = tree_of(pack)
    for name in ("tool", "dangling", "pipe"):
        move(pack / name, other / name)
        move(other / name, pack / name)
    assert tree_of(pack) == before
    assert names_in(other) == []


def test_a_new_pack_under_an_old_ones_name_is_kept(pack: Path, other: Path) -> None:
    """A move was killed while its source was removed; then the user put another version there by hand."""
    before = tree_of(pack)
    note = pack.parent / ".nodeferry-move-pack.disabled"
    note.write_text(f"{os.path.relpath(other / 'pack', pack.parent)}\n")
    tree.copy(pack, other / "pack")
    (pack / "__init__.py").write_text("# the user's, newer\n")
    (pack / "model.bin").unlink()
    assert [problem.errno for problem in settle_all([pack.parent])] == [errno.EBUSY]
    assert (pack / "__init__.py").read_text() == "# the user's, newer\n"
    assert tree_of(pack)["model.bin"][:5] == before["model.bin"][:5], "what only the copy had is there again"
    assert (names_in(pack.parent), names_in(other)) == (["pack"], [])


def test_mounts_are_found_by_odd_names_too(tmp_path: Path) -> None:
    folder = tmp_path / "a folder\tof\\mine"
    try:
        with small_disk(folder / "inner disk", megabytes=1, files=10):
            assert mounted_in(folder) == [folder / "inner disk"]
            assert mounted_in(tmp_path / "a folder") == []
            with pytest.raises(OSError, match="busy") as raised:
                discard(folder / "inner disk")
            assert of_os(raised.value).code == "folder_busy"
    except StandInError as exc:
        print(f"NOTHING IS MOUNTED HERE, the system's own mounts are looked at: {exc.message}")
        assert mounted_in(Path("/dev"))
