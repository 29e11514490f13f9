"""The files of the bench's own package index: wheels and source archives with the shape of real ones.

Archives and their metadata (PEP 658) are made once into a cache folder and stay there; the pages, what the index
answers for each project (PEP 503 and 691), are made for each bench. Modules can be compiled and imported, other files
are bytes; as much of them cannot be compressed as makes the archive as large as the real one.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench.engine.catalog import Release

_VERSION = 2
"""Of what is made here: another one makes all anew."""
_NOTE = "note.json"
_MOST_BYTES = 6_000_000_000
_POOL_BYTES = 8_000_000
_MODULE_SHARE = 0.22
"""What is left of Python source in an archive."""
_STAMP = (2024, 1, 1, 0, 0, 0)
_OTHERS = [f"cp{minor}-cp{minor}-{system}" for minor in (39, 310, 312, 313, 314)
           for system in ("win_amd64", "macosx_11_0_arm64", "musllinux_1_2_aarch64")]  # fmt: skip
"""Tags of the files that a page lists besides, as real ones do: for machines that nobody has here."""

_BACKEND = '''"""A build backend that works for as long as the real one does, and says nothing meanwhile."""
import os
import time
import zipfile

WHEEL, INFO, FILES, SECONDS, BROKEN = {wheel!r}, {info!r}, {files!r}, {seconds!r}, {broken!r}


def work(seconds):
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        sum(range(10_000))
    if BROKEN:
        raise RuntimeError(BROKEN)


def prepare_metadata_for_build_wheel(folder, settings=None):
    work(SECONDS if BROKEN else min(SECONDS, 0.4))
    for name, text in FILES.items():
        if name.startswith(INFO + "/") and not name.endswith("RECORD"):
            os.makedirs(os.path.join(folder, INFO), exist_ok=True)
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
    return INFO


def build_wheel(folder, settings=None, metadata=None):
    work(SECONDS)
    with zipfile.ZipFile(os.path.join(folder, WHEEL), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
    return WHEEL
'''
_PROJECT = '[build-system]\nrequires = [%s]\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def prepare(folder: Path, releases: Sequence[Release], pages: Path) -> None:
    """Makes what is not in `folder` yet, one process at a time, and the pages of this index. Raises ValueError when
    that would take more than 6 GB."""
    if sum(release.bytes_ for release in releases) > _MOST_BYTES:
        raise ValueError("The index would take more than 6 GB.")
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        todo = [release for release in releases if not (files / _mark(release) / _NOTE).exists()]
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(partial(_make, files), todo))
    pages.mkdir()
    for name in {release.name for release in releases}:
        own = [release for release in releases if release.name == name]
        _write_pages(pages, name, [json.loads((files / _mark(each) / _NOTE).read_text("utf-8")) for each in own])


def _mark(release: Release) -> str:
    content = json.dumps([_VERSION, asdict(release)], sort_keys=True).encode()
    return f"{release.stem}-{hashlib.sha256(content).hexdigest()[:12]}"


def _make(files: Path, release: Release) -> None:
    """Archive, metadata, and last a note of both: what has no note is made again."""
    content, name = _source(release) if release.is_source else _wheel(release)
    metadata = _metadata(release).encode()
    folder = files / _mark(release)
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    note: dict[str, Any] = {"filename": name, "url": f"/files/{folder.name}/{name}", "size": len(content)}
    note["hashes"] = {"sha256": hashlib.sha256(content).hexdigest()}
    note["upload-time"] = "2026-01-01T00:00:00Z"
    if not release.is_source:
        (folder / f"{name}.metadata").write_bytes(metadata)
        note["core-metadata"] = {"sha256": hashlib.sha256(metadata).hexdigest()}
    (folder / _NOTE).write_text(json.dumps(note), "utf-8")


def _write_pages(pages: Path, name: str, files: list[dict[str, Any]]) -> None:
    stem = name.replace("-", "_")
    none = {"sha256": "0" * 64}
    others = [f"{stem}-0.{minor}.0-{tag}.whl" for minor in range(1, 5) for tag in _OTHERS]
    rest = {"size": 1, "hashes": none, "upload-time": "2025-01-01T00:00:00Z"}
    listed = [*({"filename": other, "url": f"/files/none/{other}", **rest} for other in others), *files]
    page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": listed}
    (pages / f"{name}.json").write_text(json.dumps(page), "utf-8")
    lines = []
    for each in listed:
        known = each.get("core-metadata")
        extra = f' data-core-metadata="sha256={known["sha256"]}"' if known else ""
        lines.append(f'<a href="{each["url"]}#sha256={each["hashes"]["sha256"]}"{extra}>{each["filename"]}</a><br>')
    (pages / f"{name}.html").write_text(
        "<!DOCTYPE html><html><body>\n" + "\n".join(lines) + "\n</body></html>", "utf-8"
    )


def _wheel(release: Release) -> tuple[bytes, str]:
    target = io.BytesIO()
    record = ""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in _installed(release):
            archive.writestr(zipfile.ZipInfo(name, _STAMP), content, zipfile.ZIP_DEFLATED, 1)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            record += f"{name},sha256={digest},{len(content)}\n"
        info = f"{release.stem}.dist-info"
        record += f"{info}/RECORD,,\n"
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD", _STAMP), record)
    return target.getvalue(), f"{release.stem}-py3-none-any.whl"


def _source(release: Release) -> tuple[bytes, str]:
    wheel = f"{release.stem}-py3-none-any.whl"
    files = {name: content.decode() for name, content in _installed(release, only_modules=True)}
    info = f"{release.stem}.dist-info"
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    backend = _BACKEND.format(wheel=wheel, info=info, files=files, seconds=release.build_seconds, broken=release.broken)
    needs = "" if release.broken else '"setuptools"'
    # metadata of version 2.1 may be another after the build: nobody can go by it, as with most real archives
    texts = {"backend.py": backend, "pyproject.toml": _PROJECT % needs, "PKG-INFO": _metadata(release)}
    contents = {name: text.encode() for name, text in texts.items()}
    left = release.bytes_ - sum(map(len, contents.values())) // 4
    contents["vendor/code.bin"] = b"".join(_random(release.stem, max(0, left)))
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"{release.stem}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue(), f"{release.stem}.tar.gz"


def _installed(release: Release, *, only_modules: bool = False) -> Iterator[tuple[str, bytes]]:
    top = release.top_level
    modules = max(1, release.modules)
    yield f"{top}/__init__.py", f"__version__ = {release.version!r}\n".encode()
    for number in range(1, modules):
        folder = f"{top}/part{number // 40}" if modules > 40 else top
        yield f"{folder}/m{number}.py", _module(release.name, number, release.module_bytes // modules)
    if not only_modules:
        yield from _data(release)
    info = f"{release.stem}.dist-info"
    yield f"{info}/METADATA", _metadata(release).encode()
    yield f"{info}/WHEEL", b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def _data(release: Release) -> Iterator[tuple[str, bytes]]:
    if not release.files:
        return
    size = release.file_bytes // release.files
    dense = max(0, release.bytes_ - int(_MODULE_SHARE * release.module_bytes))
    random_bytes = min(size, dense // release.files)
    for number, content in enumerate(_random(release.stem, random_bytes * release.files, random_bytes or 1)):
        if number < release.files:
            yield f"{release.top_level}/data{number // 200}/f{number}.bin", content + bytes(size - len(content))
    for number in range(release.files if not random_bytes else 0):
        yield f"{release.top_level}/data{number // 200}/f{number}.bin", bytes(size)


def _module(name: str, number: int, size: int) -> bytes:
    """Python source of about so many bytes."""
    lines = [f'"""Part {number} of {name}."""\n']
    length = 0
    while length < size:
        one = len(lines)
        lines.append(
            f"\n\ndef work_{number}_{one}(first, second={one}, *rest, **named):\n"
            f'    """What {name} does in step {one}, for all that it is given: see part {number}."""\n'
            f"    found = [first * {one} + each for each in rest if each is not None]\n"
            f"    if second > {number} and found:\n"
            f"        return sorted(found)[:{one % 7 + 1}], named.get('key{one}', second)\n"
            f"    return {{'first': first, 'second': second, 'step': {one}, **named}}\n"
        )
        length += len(lines[-1])
    return "".join(lines).encode()


def _random(seed: str, size: int, piece: int = 1_000_000) -> Iterator[bytes]:
    """Bytes that cannot be compressed, `size` in all, in pieces."""
    generator = random.Random(seed)  # nobody's secret, and the same each time
    pool = _pool()
    while size > 0:
        length = min(piece, size)
        part = b""
        while len(part) < length:
            begin = generator.randrange(len(pool) - 65_536)
            part += pool[begin : begin + min(length - len(part), 4_000_000)]
        yield part
        size -= length


def _pool(kept: dict[str, bytes] = {}) -> bytes:  # noqa: B006  # a cache of the process
    if not kept:
        kept["pool"] = random.Random(1).randbytes(_POOL_BYTES)
    return kept["pool"]


def _metadata(release: Release) -> str:
    text = (
        f"Metadata-Version: 2.1\nName: {release.name}\nVersion: {release.version}\nSummary: A package of the bench.\n"
    )
    return text + "".join(f"Requires-Dist: {line}\n" for line in release.requires)
