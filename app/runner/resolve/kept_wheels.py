"""Wheels that were built on this machine, kept from run to run: what was built once is not built again.

uv keeps what it builds in its cache, but an index that sends no cache headers makes it build the same version again.
Here a built wheel lies under its own name, with a note of its digest and of what it was built for, in one folder for
wheels that run everywhere and one for each combination of torch, CUDA, GPU, C library and processor. A wheel is offered
only where it was built for the like.

A wheel gets its name when it is whole and its note is written, so that one that is cut short is never offered. What its
note does not fit is removed, and built again. All methods may be called from any thread, and by several runs at once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import stat
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from app.protocol.wheel_names import MAX_BYTES, is_any_platform, is_wheel_name, package_of
from app.runner.process.paths import state_folder

ANY = "any"
_NOTE = ".json"
_PART = ".part-"
_MOST_BYTES = 8 << 30
_MOST_WHEELS = 500
_MOST_FOLDERS = 64
_NOTE_BYTES = 16 << 10
_FREE_BYTES = 1 << 30
"""A disk with less than this is left to what has to be installed."""
_STALE_SECONDS = 6 * 3600.0
_log = logging.getLogger("runner")


class Kept(NamedTuple):
    """A kept wheel. `about`: its note."""

    path: Path
    bytes: int
    sha256: str
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its file name."""
        return self.path.name


def kept_folder(ui_home: Path) -> Path:
    """Where wheels are kept: on the volume that ComfyUI lies on, where that is another file system than the home's and
    lets us; else among the runner's own files. Makes it. Raises OSError."""
    own = state_folder() / "wheels"
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    volume = _volume_of(ui_home, own)
    if volume is not None:
        on_volume = volume / ".nodeferry" / "wheels"
        try:
            on_volume.mkdir(parents=True, exist_ok=True, mode=0o700)
            if is_ours(on_volume) and is_ours(on_volume.parent):
                return on_volume
        except OSError as exc:
            _log.info("wheels are not kept on the volume: %s", exc)
    return own


def _volume_of(ui_home: Path, own: Path) -> Optional[Path]:
    """The topmost folder of ComfyUI's file system; None where the home is on it too."""
    folder = Path(os.path.realpath(str(ui_home)))
    device = os.stat(str(folder)).st_dev
    if device == os.stat(str(own)).st_dev:
        return None
    while folder.parent != folder and os.stat(str(folder.parent)).st_dev == device:
        folder = folder.parent
    return folder


def is_ours(folder: Path) -> bool:
    """A folder of this user's, in which nobody else may write. Raises OSError."""
    about = os.lstat(str(folder))
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o022


class KeptWheels:
    """The wheels of one machine that fit one environment."""

    def __init__(self, folder: Path, facts: Mapping[str, str], task_id: str) -> None:
        """`folder`: as `kept_folder` gives it; `facts`: what a wheel with compiled code must have been built for."""
        self._folder = folder
        self._facts = dict(facts)
        self._task_id = task_id
        self._own = folder / _key(facts)
        self._lock = threading.Lock()
        self._checked: Set[Tuple[str, int, int, int]] = set()
        self.spoiled: List[str] = []
        """The names of wheels that were removed, since they are not what their notes say."""

    def fitting(self) -> List[Kept]:
        """Those that fit, each compared with its note; what is not as its note says is removed."""
        with self._lock:
            return [kept for folder in self._folders() for kept in self._whole(folder)]

    def folders(self) -> List[Path]:
        """Those in which every wheel fits and is as noted, and there is one: what uv and pip may look into."""
        whole = {kept.path for kept in self.fitting()}
        return [folder for folder in self._folders() if (found := set(_wheels_in(folder))) and found <= whole]

    def _folders(self) -> List[Path]:
        return [folder for folder in (self._folder / ANY, self._own) if _is_usable(folder)]

    def _whole(self, folder: Path) -> List[Kept]:
        found = []
        for path in _wheels_in(folder):
            kept = _read(path)
            if kept is not None and self._is_as_noted(kept) and self._is_for_us(kept):
                found.append(kept)
                continue
            self.spoiled.append(path.name)
            _log.warning("the kept wheel %s is not what its note says; it is removed", path.name)
            _remove(path)
        return found

    def _is_as_noted(self, kept: Kept) -> bool:
        """Once for each state of the file."""
        try:
            about = os.lstat(str(kept.path))
            identity = (str(kept.path), about.st_ino, about.st_size, about.st_mtime_ns)
            if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_size != kept.bytes:
                return False
            if identity not in self._checked and digest_of(kept.path) != kept.sha256:
                return False
        except OSError:
            return False
        self._checked.add(identity)
        return True

    def _is_for_us(self, kept: Kept) -> bool:
        return kept.path.parent.name == ANY or kept.about.get("facts") == self._facts

    def keep(self, wheel: Path, about: Mapping[str, Any]) -> Optional[str]:
        """Keeps a copy of a wheel that was just built; its name. None where it is kept already, is no wheel, or the
        disk has no room for it: then it is only logged. `about`: for its note."""
        folder = self._folder / ANY if is_any_platform(wheel.name) else self._own
        target = folder / wheel.name
        try:
            size = os.lstat(str(wheel)).st_size
            if not is_wheel_name(wheel.name) or size > MAX_BYTES or target.exists():
                return None
            folder.mkdir(exist_ok=True, mode=0o700)
            if not is_ours(folder):
                _log.warning("%s is not this user's alone: no wheel is kept in it", folder)
                return None
            if shutil.disk_usage(str(folder)).free < size + _FREE_BYTES:
                _log.warning("the wheel %s is not kept: the disk is nearly full", wheel.name)
                return None
            self._copy(wheel, target, about)
            prune(self._folder)
        except OSError as exc:
            _log.warning("the wheel %s is not kept: %s", wheel.name, exc)
            return None
        return wheel.name

    def _copy(self, wheel: Path, target: Path, about: Mapping[str, Any]) -> None:
        """The note comes before the wheel: without a wheel it means nothing."""
        part = target.with_name("%s%s%s" % (target.name, _PART, self._task_id))
        note_part = part.with_name(part.name + _NOTE)
        try:
            with open(str(wheel), "rb") as source, open(_new(part), "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            note = {
                **about,
                "sha256": digest_of(part),
                "bytes": part.stat().st_size,
                "built": int(time.time()),
                "task_id": self._task_id,
                "facts": self._facts,
            }
            with open(_new(note_part), "w", encoding="utf-8") as file:
                file.write(json.dumps(note))
                file.flush()
                os.fsync(file.fileno())
            os.replace(str(note_part), str(_note_of(target)))
            os.replace(str(part), str(target))
        finally:
            for left in (part, note_part):
                left.unlink(missing_ok=True)


def prune(folder: Path, most_bytes: int = _MOST_BYTES, most_wheels: int = _MOST_WHEELS) -> None:
    """Removes the oldest wheels until the rest is within the bounds, and what killed runs left half written. Raises
    OSError."""
    wheels: List[Tuple[float, int, Path]] = []
    for inner in _inner_folders(folder):
        for path in sorted(inner.iterdir()):
            about = path.lstat()
            if path.suffix == ".whl":
                wheels.append((about.st_mtime, about.st_size, path))
            elif about.st_mtime < time.time() - _STALE_SECONDS and not path.with_suffix("").exists():
                path.unlink(missing_ok=True)
    total = sum(size for _, size, _ in wheels)
    for count, (_, size, path) in enumerate(sorted(wheels)):
        if total <= most_bytes and len(wheels) - count <= most_wheels:
            return
        _remove(path)
        total -= size


def listed(folder: Path) -> List[Kept]:
    """All kept wheels whose notes can be read, whatever they fit; their digests are as noted, and not looked at."""
    found = [_read(path) for inner in _inner_folders(folder) for path in _wheels_in(inner)]
    return [kept for kept in found if kept is not None]


def digest_of(path: Path) -> str:
    """The SHA-256 of a file that is no link. Raises OSError."""
    digest = hashlib.sha256()
    with open(os.open(str(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def _key(facts: Mapping[str, str]) -> str:
    """A folder's name for these facts: readable, and its own."""
    text = json.dumps(dict(facts), sort_keys=True)
    words = "-".join(
        "".join(letter for letter in facts.get(name, "") if letter.isalnum()) for name in ("torch", "cuda")
    )
    return "built-%s-%s" % (words[:40], hashlib.sha256(text.encode("utf-8")).hexdigest()[:16])


def _is_usable(folder: Path) -> bool:
    try:
        return is_ours(folder)
    except OSError:
        return False


def _inner_folders(folder: Path) -> List[Path]:
    """Raises OSError."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if _is_usable(path)][:_MOST_FOLDERS]


def _wheels_in(folder: Path) -> List[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".whl")
    except OSError:
        return []


def _note_of(wheel: Path) -> Path:
    return wheel.with_name(wheel.name + _NOTE)


def _read(path: Path) -> Optional[Kept]:
    """The wheel with its note; None where there is none that can be read."""
    try:
        with open(str(_note_of(path)), "rb") as file:
            about = json.loads(file.read(_NOTE_BYTES))
        size, digest = about["bytes"], about["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    usable = type(size) is int and isinstance(digest, str) and package_of(path.name) is not None
    return Kept(path, size, digest, about) if usable else None


def _remove(wheel: Path) -> None:
    for path in (wheel, _note_of(wheel)):
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            _log.warning("%s cannot be removed: %s", path.name, exc)


def _new(path: Path) -> int:
    """A file of this user's alone, which was not there before. Raises OSError."""
    path.unlink(missing_ok=True)
    return os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def built_in_cache(cache: Path, pins: Mapping[str, str], since: float) -> List[Path]:
    """The wheels in uv's cache that were built of an index's source archives since a moment (Unix seconds), for these
    packages (canonical name: version). What was built of a repository or an address has a version that says too little,
    and is none of them.

    uv's own layout: `sdists-v11/index/INDEX/NAME/VERSION/REVISION/FILE.whl`, `pypi` instead of `index/INDEX` for
    pypi.org; versions of uv before 0.4 call the first folder `built-wheels-v3`."""
    found: Dict[str, Tuple[float, Path]] = {}
    for name, version in pins.items():
        if not package_of("%s-%s-py3-none-any.whl" % (name.replace("-", "_"), version)):
            continue
        for pattern in ("index/*/%s/%s/*/*.whl", "pypi/%s/%s/*/*.whl"):
            for top in ("sdists-v*/", "built-wheels-v*/"):
                for path in cache.glob(top + pattern % (name, version)):
                    about = path.lstat()
                    newer = found.get(path.name, (0.0, path))[0] < about.st_mtime
                    if stat.S_ISREG(about.st_mode) and about.st_mtime >= since and newer:
                        found[path.name] = (about.st_mtime, path)
    return [path for _, path in found.values()]
