"""What comes from ComfyUI's registry when the line, the server or the archive is not as it should be."""

from __future__ import annotations

import io
import os
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.runner.packs.archive_unpack import TooLarge, Unsafe, unpack
from app.runner.packs.installed import project_version
from app.standin.registry_archives import bomb, pack_files, twice, zipped
from app.standin.registry_server import RegistryServer, Rule
from test.runner.rig import Rig
from test.runner.test_registry_packs import errors
from test.support.waiting import wait_until
from test.support.wrapped_runner import killed_runner


@pytest.fixture
def registry(rig: Rig) -> Iterator[RegistryServer]:
    with RegistryServer() as registry:
        rig.environ["NODEFERRY_NODE_REGISTRY"] = registry.url
        yield registry


def stored(files: dict[str, bytes]) -> bytes:
    """An archive as large as its files."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


@pytest.mark.slow
def test_a_cut_download_goes_on_where_it_was_and_a_lost_one_says_why(rig: Rig, registry: RegistryServer) -> None:
    size = 600_000
    whole = {"__init__.py": b"NODE_CLASS_MAPPINGS = {}\n", "model.bin": b"x" * size}
    for name in ("cut", "anew", "lost", "page"):
        registry.add(name, "1.0.0", stored(whole))
    registry.set_rule("/files/cut", Rule(cut_after=200_000, times=1))
    registry.set_rule("/files/anew", Rule(cut_after=200_000, times=1, no_ranges=True))
    registry.set_rule("/files/lost", Rule(404))
    registry.nodes["page"].versions[0].archive = b"<html>Please log in</html>"
    run = rig.install({"urls": ["cut", "anew", "lost", "page"]})
    assert errors(run) == {
        "cut": "",
        "anew": "",
        "lost": "registry_version_not_found",
        "page": "archive_failed",
    }
    assert "bytes=200000-" in registry.ranges
    for name in ("cut", "anew"):
        assert (rig.custom_nodes / name / "model.bin").stat().st_size == size
    rows = run.snapshot().nodes
    assert (rows["cut"].bytes_received or 0) > size
    assert not list(run.staging.parent.glob(".nodeferry*/*"))


@pytest.mark.slow
def test_a_cut_that_stays_is_told(rig: Rig, registry: RegistryServer) -> None:
    registry.add("cut", "1.0.0", stored({"__init__.py": b"", "model.bin": b"x" * 100_000}))
    registry.set_rule("/files/cut", Rule(cut_after=10))
    registry.add("silent", "1.0.0", pack_files("silent", "1.0.0"))
    registry.set_rule("/files/silent", Rule(is_silent=True))
    run = rig.install({"urls": ["cut", "silent"]}, limits={"retry_waits": [0, 0], "git_idle": 1})
    assert errors(run) == {"cut": "transfer_cut", "silent": "stalled"}


def entry(name: str, mode: int = 0o100644, **about: int) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        info = zipfile.ZipInfo("x" * len(name))
        info.create_system, info.external_attr = 3, mode << 16
        archive.writestr(info, b"content")
    return raw.getvalue().replace(b"x" * len(name), name.encode())


def packed(how: int) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", how) as archive:
        archive.writestr("__init__.py", "NODE_CLASS_MAPPINGS = {}")
    return raw.getvalue()


UNSAFE: dict[str, Callable[[], bytes]] = {
    "above": lambda: entry("../evil.py"),
    "above inside": lambda: entry("a/../../evil.py"),
    "absolute": lambda: entry("/etc/evil"),
    "drive": lambda: entry("C:/evil.py"),
    "backslash": lambda: entry("..\\evil.py"),
    "git": lambda: entry(".git/hooks/post-checkout"),
    "git in capitals": lambda: entry("a/.GIT/config"),
    "control": lambda: entry("a\nb.py"),
    "empty part": lambda: entry("a//b.py"),
    "dot": lambda: entry("./a.py"),
    "a link": lambda: zipped({"__init__.py": ""}, links={"link": "/etc/passwd"}),
    "a device": lambda: entry("device", 0o020644),
    "twice": lambda: twice("a.py"),
    "file and folder": lambda: zipped({"a": "1", "a/b": "2"}),
    "too many": lambda: zipped({f"f{number}": "" for number in range(20_001)}),
    "a bomb": lambda: bomb(150 * 1024**2),
    "nothing": lambda: zipped({}, folders=["a"]),
    "a long name": lambda: zipped({"a" * 300: ""}),
    "a folder in place of Manager's list": lambda: zipped({"__init__.py": "", ".tracking/evil": ""}),
    "one that may take any memory": lambda: packed(zipfile.ZIP_LZMA),
    "one that grows at once": lambda: packed(zipfile.ZIP_BZIP2),
}
"""Made when a test wants it: every process of a run reads this."""


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_archive_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    file, target = tmp_path / "pack.zip", tmp_path / "in" / "pack"
    file.write_bytes(UNSAFE[name]())
    with pytest.raises(Unsafe):
        unpack(file, target, lambda: None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != file]


def test_an_archive_that_is_larger_than_the_disk_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pack.zip"
    file.write_bytes(zipped({"a": "x" * 1000}))
    monkeypatch.setattr("app.runner.packs.archive_unpack._LEFT_FREE", 10**18)
    with pytest.raises(TooLarge):
        unpack(file, tmp_path / "pack", lambda: None)


def test_a_list_of_a_million_files_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """zipfile would have each entry in memory, hundreds of bytes for 47, before any can be counted."""
    file = tmp_path / "pack.zip"
    entry = b"PK\x01\x02" + struct.pack("<4B4HL2L5H2L", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, count * len(entry), 0, 0)
    file.write_bytes(entry * count + end)
    tracemalloc.start()
    try:
        with pytest.raises(Unsafe):
            unpack(file, tmp_path / "pack", lambda: None)
        assert tracemalloc.get_traced_memory()[1] < 10 * 1024**2
    finally:
        tracemalloc.stop()


def test_a_list_of_manager_that_the_archive_brings_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    file.write_bytes(zipped({"__init__.py": "", ".tracking": "../../etc/passwd"}))
    unpack(file, tmp_path / "pack", lambda: None)
    assert (tmp_path / "pack" / ".tracking").read_text("utf-8").split("\n") == ["__init__.py", ".tracking"]


@pytest.mark.slow
def test_what_drips_or_leads_out_of_the_web_ends(rig: Rig, registry: RegistryServer, tmp_path: Path) -> None:
    """A byte now and then for ever; a redirect to a file, to another protocol."""
    secret = tmp_path / "secret.zip"
    secret.write_bytes(zipped(pack_files("file", "1.0.0")))
    for name in ("drips", "file", "ftp", "moved"):
        registry.add(name, "1.0.0", pack_files(name, "1.0.0", {"model.bin": os.urandom(400_000)}))
    registry.set_rule("/files/drips", Rule(piece_seconds=20))
    registry.set_rule("/files/file", Rule(302, location=f"file://{secret}"))
    registry.set_rule("/files/ftp", Rule(302, location="ftp://127.0.0.1:1/x.zip"))
    registry.set_rule("/files/moved/1.0.0.zip", Rule(302, location="/files/moved/1.0.0.zip?here", times=1))
    limits = {"retry_waits": [0], "low_speed": 1, "git_idle": 60}
    run = rig.install({"urls": ["drips", "file", "ftp", "moved"]}, limits=limits)
    assert errors(run) == {"drips": "stalled", "file": "archive_failed", "ftp": "transfer_cut", "moved": ""}


@pytest.mark.slow
def test_a_cancel_in_the_middle_of_an_archive_leaves_nothing(rig: Rig, registry: RegistryServer) -> None:
    registry.add("slow", "1.0.0", stored({"__init__.py": b"", "model.bin": b"x" * 2_000_000}))
    registry.set_rule("/files/slow", Rule(piece_seconds=0.5))
    run = rig.start({"urls": ["slow"]})
    wait_until(lambda: any(node.bytes_received for node in run.snapshot().nodes.values()), 20, "some of it is there")
    asked = time.monotonic()
    run.cancel()
    run.wait()
    assert time.monotonic() - asked < 5
    assert run.snapshot().state.value == "cancelled"
    assert not (rig.custom_nodes / "slow").exists()
    assert not list(rig.custom_nodes.glob(".nodeferry*/*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_kill_in_the_middle_of_a_replace_loses_nothing(
    rig: Rig, registry: RegistryServer, pyz: Path, number: int
) -> None:
    """Before the old version is moved aside, between, and before the user's file follows: the sweep settles it."""
    registry.add("pack", "1.0.0", pack_files("pack", "1.0.0"))
    rig.install({"urls": ["pack@1.0.0"]})
    folder = rig.custom_nodes / "pack"
    (folder / "mine.txt").write_text("mine")
    registry.add("pack", "2.0.0", pack_files("pack", "2.0.0"))
    rig.pyz = killed_runner(pyz, rig.home, event="os.rename", word="custom_nodes/pack", number=number)
    killed = rig.start({"urls": ["pack"]}, options={"existing": "update"})
    wait_until(killed.is_over, 30, "the runner is killed")
    rig.pyz = pyz
    assert (folder / "__init__.py").exists() == (number != 2)
    killed.sweep()
    assert project_version(folder) == ("2.0.0" if number == 3 else "1.0.0")
    assert (folder / "mine.txt").read_text() == "mine"
    assert not list(rig.custom_nodes.glob(".nodeferry-replace-*"))
    after = rig.install({"urls": ["pack"]}, options={"existing": "update"})
    assert errors(after) == {"pack": ""}
    assert project_version(folder) == "2.0.0"
    assert (folder / "mine.txt").read_text() == "mine"
