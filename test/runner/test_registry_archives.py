"""What comes from ComfyUI's registry when the line, the server or the archive is not as it should be."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.runner.packs.archive_unpack import TooLarge, Unsafe, unpack
from app.standin.registry_archives import bomb, pack_files, twice, zipped
from app.standin.registry_server import RegistryServer, Rule
from test.runner.rig import Rig
from test.runner.test_registry_packs import errors


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


UNSAFE = {
    "above": entry("../evil.py"),
    "above inside": entry("a/../../evil.py"),
    "absolute": entry("/etc/evil"),
    "drive": entry("C:/evil.py"),
    "backslash": entry("..\\evil.py"),
    "git": entry(".git/hooks/post-checkout"),
    "git in capitals": entry("a/.GIT/config"),
    "control": entry("a\nb.py"),
    "empty part": entry("a//b.py"),
    "dot": entry("./a.py"),
    "a link": zipped({"__init__.py": ""}, links={"link": "/etc/passwd"}),
    "a device": entry("device", 0o020644),
    "twice": twice("a.py"),
    "file and folder": zipped({"a": "1", "a/b": "2"}),
    "too many": zipped({f"f{number}": "" for number in range(20_001)}),
    "a bomb": bomb(150 * 1024**2),
    "nothing": zipped({}, folders=["a"]),
    "a long name": zipped({"a" * 300: ""}),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_archive_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    file, target = tmp_path / "pack.zip", tmp_path / "in" / "pack"
    file.write_bytes(UNSAFE[name])
    with pytest.raises(Unsafe):
        unpack(file, target, lambda: None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != file]


def test_an_archive_that_is_larger_than_the_disk_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pack.zip"
    file.write_bytes(zipped({"a": "x" * 1000}))
    monkeypatch.setattr("app.runner.packs.archive_unpack._LEFT_FREE", 10**18)
    with pytest.raises(TooLarge):
        unpack(file, tmp_path / "pack", lambda: None)
