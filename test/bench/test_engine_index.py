"""The package index of the engine's bench: files as the catalog says, and what clients may keep of it."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from pathlib import Path

import pytest
import requests

from bench.engine.catalog import BASE, LONG_BUILD, PLACEHOLDER, Release, releases
from bench.engine.index_files import prepare
from bench.engine.index_server import IndexServer
from bench.engine.real_list import FEW, REAL_LIST, base_of, needed

JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
SAMPLE = Release("a-sample", "1.2", False, 300_000, 50, 400_000, 30, 900_000, ("numpy>=1",))
SOURCE = Release("a-source", "1.0", True, 20_000, 3, 5_000, 0, 0, (), build_seconds=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("index")
    prepare(made, [SAMPLE, SOURCE], made / "pages")
    return made


def test_files_have_the_shape_of_the_real_ones(folder: Path) -> None:
    """Size, number of files, what is installed, digests; modules can be compiled."""
    with IndexServer(folder, folder / "pages") as index:
        page = requests.get(f"{index.url}a-sample/", headers=JSON, timeout=5).json()
        file = page["files"][-1]
        content = requests.get(index.url.replace("/simple/", file["url"]), timeout=5).content
        metadata = requests.get(index.url.replace("/simple/", file["url"] + ".metadata"), timeout=5).content
        html = requests.get(f"{index.url}a-sample/", timeout=5).text
    assert hashlib.sha256(content).hexdigest() == file["hashes"]["sha256"]
    assert hashlib.sha256(metadata).hexdigest() == file["core-metadata"]["sha256"]
    assert f"{file['filename']}</a>" in html and len(page["files"]) > 50
    assert 0.8 * SAMPLE.bytes_ < len(content) < 1.3 * SAMPLE.bytes_
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert len(names) == SAMPLE.modules + SAMPLE.files
        installed = sum(archive.getinfo(name).file_size for name in names)
        assert 0.9 * 1_300_000 < installed < 1.2 * 1_300_000
        compile(archive.read("a_sample/part1/m41.py"), "m41.py", "exec")


def test_nothing_is_made_twice(folder: Path, tmp_path: Path) -> None:
    """A second preparation leaves the files as they are; one that was cut short is made again."""
    notes = sorted(folder.glob("files/*/note.json"))
    before = {path: path.stat().st_mtime_ns for path in notes}
    notes[0].unlink()
    prepare(folder, [SAMPLE, SOURCE], tmp_path / "pages")
    after = {path: path.stat().st_mtime_ns for path in notes}
    assert [path for path in notes if before[path] != after[path]] == notes[:1]


def test_cache_headers_and_latency(folder: Path) -> None:
    """With headers an answer may be kept and asked for again; without, nothing says so. Ranges work in both."""
    with IndexServer(folder, folder / "pages") as index:
        first = requests.get(f"{index.url}a-sample/", headers=JSON, timeout=5)
        assert first.headers["Cache-Control"] == "max-age=600, public"
        again = requests.get(first.url, headers={**JSON, "If-None-Match": first.headers["ETag"]}, timeout=5)
        assert again.status_code == 304 and requests.get(f"{index.url}nothing/", timeout=5).status_code == 404
        file = index.url.replace("/simple/", first.json()["files"][-1]["url"])
        part = requests.get(file, headers={"Range": "bytes=-10"}, timeout=5)
        assert part.status_code == 206 and part.content == requests.get(file, timeout=5).content[-10:]
        index.set_latency(0.2)
        began = time.monotonic()
        requests.head(file, timeout=5)
        assert time.monotonic() - began >= 0.2
    with IndexServer(folder, folder / "pages", cache_headers=False) as index:
        bare = requests.get(
            f"{index.url}a-sample/", headers={**JSON, "If-None-Match": first.headers["ETag"]}, timeout=5
        )
        assert bare.status_code == 200 and not {"ETag", "Cache-Control", "Last-Modified"} & set(bare.headers)


def test_the_list_has_what_the_real_one_has() -> None:
    """34 packs in the order of the list, three that want a change, two scripts, a placeholder, one long build; the
    index has everything that they lead to."""
    rows = (Path(__file__).parents[1] / "support" / "custom_nodes.csv").read_text("utf-8").splitlines()[1:]
    assert [spec.name for spec in REAL_LIST] == [row.split(",")[0] for row in rows]
    assert [spec.name for spec in REAL_LIST if spec.slow_build] == ["comfyui-vrgamedevgirl"]
    kinds = [(spec.stage == 2, spec.install_py is not None, bool(spec.impossible)) for spec in REAL_LIST]
    assert [sum(each) for each in zip(*kinds, strict=True)] == [3, 2, 1]
    every = releases(60)
    assert {LONG_BUILD, PLACEHOLDER, "diskcache"} <= {release.name for release in needed(REAL_LIST, every)}
    assert len(base_of(every)) == len(BASE) and len(needed(FEW, every)) < 40
    assert sum(release.bytes_ for release in every) < 1_200_000_000
