"""The folder that kept wheels lie in: bounded, whole files only, and where it is ours alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from app.runner.resolve.kept_wheels import KeptWheels, kept_folder, listed, prune
from test.house.sources import ROOT


def wheel_in(folder: Path, name: str, size: int = 1000) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    path.write_bytes(name.encode() * (size // len(name)))
    return path


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path) -> None:
    top = tmp_path / "wheels"
    top.mkdir(mode=0o700)
    kept = KeptWheels(top, {}, "t")
    names = [kept.keep(wheel_in(tmp_path / "built", f"tool{number}"), {}) for number in range(4)]
    for number, name in enumerate(names):
        os.utime(top / "any" / str(name), (number, number))
    prune(top, most_wheels=3)
    assert [each.name for each in listed(top)] == names[1:]
    prune(top, most_bytes=1500)
    assert [each.name for each in listed(top)] == names[3:]
    assert sorted(path.name for path in (top / "any").iterdir()) == [str(names[3]), f"{names[3]}.json"]


def test_a_wheel_that_cannot_be_written_whole_is_not_kept(tmp_path: Path) -> None:
    """The system refuses the rest of the file, as a full disk does."""
    top = tmp_path / "wheels"
    top.mkdir(mode=0o700)
    wheel = wheel_in(tmp_path / "built", "large", 100_000)
    code = (
        "import resource, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from app.runner.resolve.kept_wheels import KeptWheels\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "print(KeptWheels(Path(sys.argv[2]), {}, 't').keep(Path(sys.argv[3]), {}))"
    )
    argv = [sys.executable, "-c", code, str(ROOT), str(top), str(wheel)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "None\n"
    assert list((top / "any").iterdir()) == []
    assert KeptWheels(top, {}, "t").keep(wheel, {}) == wheel.name


def test_a_wheel_without_a_note_or_of_another_build_is_never_offered(tmp_path: Path) -> None:
    top = tmp_path / "wheels"
    top.mkdir(mode=0o700)
    kept = KeptWheels(top, {"torch": "2.8"}, "t")
    built = wheel_in(tmp_path / "built", "good")
    assert kept.keep(built, {}) == built.name
    (top / "any").chmod(0o700)
    wheel_in(top / "any", "noteless")
    link = top / "any" / "linked-1.0-py3-none-any.whl"
    link.symlink_to(built)
    shutil.copy(top / "any" / f"{built.name}.json", f"{link}.json")
    assert [each.name for each in kept.fitting()] == [built.name]
    assert kept.folders() == [top / "any"]
    assert sorted(kept.spoiled) == [link.name, "noteless-1.0-py3-none-any.whl"]
    assert built.exists()  # what the link leads to


@pytest.mark.parametrize("note", [b"", b"[]", b"{}", b'{"bytes": "1", "sha256": 1}', b'{"bytes": 1}', b"{" * 20_000])
def test_a_note_that_is_none_is_no_trouble(note: bytes, tmp_path: Path) -> None:
    top = tmp_path / "wheels"
    top.mkdir(mode=0o700)
    kept = KeptWheels(top, {}, "t")
    name = kept.keep(wheel_in(tmp_path / "built", "tool"), {})
    (top / "any" / f"{name}.json").write_bytes(note)
    assert listed(top) == [] and kept.fitting() == [] and kept.folders() == []


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no second file system")
def test_wheels_are_kept_on_the_volume_that_comfyui_lies_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is another file system than the home's, and its folder is ours alone; else at home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    own, on_volume = tmp_path / ".local" / "state" / "nodeferry" / "wheels", Path("/dev/shm/.nodeferry/wheels")
    assert kept_folder(tmp_path) == own
    with tempfile.TemporaryDirectory(dir="/dev/shm") as volume:
        if os.stat(volume).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("it is the same file system")
        existed = on_volume.parent.exists()
        try:
            assert kept_folder(Path(volume)) == on_volume
            on_volume.chmod(0o777)
            assert kept_folder(Path(volume)) == own
        finally:
            if not existed:
                shutil.rmtree(on_volume.parent)
