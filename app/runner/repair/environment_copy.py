"""A copy of ComfyUI's environment that can be changed, and packs be imported in, while the real one stays as it is.

Programs replace most files, but packs also write into files of installed packages. So what is small is copied, byte
code and large files are linked: Python replaces its byte code, and nobody patches a library in place. They are hard
links where these reach and cost nothing, else symbolic ones: on an image's layers a hard link copies the file first.

An interpreter that is no venv's is copied as a venv that has all of its packages.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from app.runner.environment.environment import Environment
from app.runner.files.mounts import is_layered

_LARGE = 1 << 20
_LEAST_FREE = 512 << 20
_LOOK_EVERY = 200
_OF_VENV = ("bin", "lib", "lib64", "include", "share", "etc", "pyvenv.cfg")
"""What a venv consists of: some lie in ComfyUI's own folder, with models in it."""


class _Entry(NamedTuple):
    source: str
    target: str
    kind: int
    size: int

    @property
    def is_linked(self) -> bool:
        """Whether it is too large to be copied, or byte code."""
        name = os.path.basename(self.source)
        return self.size > _LARGE or name.endswith((".pyc", ".so")) or ".so." in name


class EnvironmentCopy:
    """One copy, at `folder`, which is made. `look` is called now and then, and may raise what ends it."""

    def __init__(self, environment: Environment, folder: Path, look: Callable[[], None]) -> None:
        self._environment = environment
        self._folder = folder
        self._look = look
        self._linked: Dict[str, Tuple[int, int]] = {}
        self.disk_bytes = 0
        """What the copied files take."""

    @property
    def python(self) -> str:
        """Its interpreter."""
        if self._is_venv:
            found = os.path.relpath(self._environment.executable, self._environment.prefix)
            if not found.startswith(".."):
                return str(self._folder / found)
        return str(self._folder / "bin" / "python")

    @property
    def _is_venv(self) -> bool:
        return self._environment.prefix != self._environment.base_prefix

    def make(self, most_bytes: float) -> None:
        """Asks for the room first. Raises OSError, ENOSPC among them where it would take more than `most_bytes`, or
        leave less than half a gigabyte; and what `look` raises."""
        entries = list(self._entries())
        wanted = sum(entry.size for entry in entries if stat.S_ISREG(entry.kind) and not entry.is_linked)
        if wanted > most_bytes or wanted + _LEAST_FREE > shutil.disk_usage(str(self._folder.parent)).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.disk_bytes = wanted
        self._folder.mkdir()
        if not self._is_venv:
            self._make_venv()
        symbolic = is_layered(Path(self._environment.prefix))
        for number, entry in enumerate(entries):
            if number % _LOOK_EVERY == 0:
                self._look()
            self._bring(entry, symbolic=symbolic)
        self._rename()

    def touched(self) -> List[str]:
        """The linked files that were written to in place since the copy was made: the real ones, too."""
        return [path for path, (size, mtime) in self._linked.items() if _state(path) != (size, mtime)]

    def environ(self, given: str) -> Dict[str, str]:
        """Variables with which programs find the copy and not the real one. `given`: their PATH."""
        real, here = self._environment.prefix, str(self._folder)
        parts = [part for part in given.split(":") if not self._is_venv or not _is_in(part, real)]
        return {"VIRTUAL_ENV": here, "UV_PYTHON": self.python, "PATH": ":".join([os.path.join(here, "bin"), *parts])}

    # -- what there is -------------------------------------------------------------------------------------------------

    def _entries(self) -> Iterator[_Entry]:
        """Each folder before what is in it; of two of one name the first."""
        seen: Dict[str, None] = {}
        for source, target in self._roots():
            for entry in _entry(source, target):
                if entry.target not in seen:
                    seen[entry.target] = None
                    yield entry

    def _roots(self) -> Sequence[Tuple[str, str]]:
        found = self._environment
        if self._is_venv:
            return [(os.path.join(found.prefix, name), str(self._folder / name)) for name in _OF_VENV]
        locations = {package.location for package in found.distributions.values()} | set(found.site_packages)
        libraries = [path for path in found.paths if path in locations]
        return [(path, str(self._libraries)) for path in libraries]

    @property
    def _libraries(self) -> Path:
        """Where a venv of our own has its packages."""
        minor = ".".join(self._environment.version.split(".")[:2])
        return self._folder / "lib" / ("python%s" % minor) / "site-packages"

    # -- making it -----------------------------------------------------------------------------------------------------

    def _make_venv(self) -> None:
        """As `python -m venv` does, without pip: that comes with the packages, where it is there. What conda has beside
        Python's own folder is found by its compiled packages, too."""
        found = self._environment
        self._libraries.mkdir(parents=True)
        (self._folder / "bin").mkdir()
        executable = os.path.realpath(found.executable)
        for name in ("python", "python3"):
            os.symlink(executable, str(self._folder / "bin" / name))
        text = "home = %s\ninclude-system-site-packages = false\nversion = %s\n"
        (self._folder / "pyvenv.cfg").write_text(text % (os.path.dirname(executable), found.version), "utf-8")
        if os.path.isdir(os.path.join(found.prefix, "conda-meta")):
            for name in os.listdir(os.path.join(found.prefix, "lib")):
                if not os.path.lexists(str(self._folder / "lib" / name)):
                    os.symlink(os.path.join(found.prefix, "lib", name), str(self._folder / "lib" / name))

    def _bring(self, entry: _Entry, *, symbolic: bool) -> None:
        source, target = entry.source, entry.target
        if stat.S_ISDIR(entry.kind):
            os.makedirs(target, exist_ok=True)
        elif stat.S_ISLNK(entry.kind):
            os.symlink(os.readlink(source), target)
            return
        elif not stat.S_ISREG(entry.kind):
            return
        elif entry.is_linked:
            self._linked[source] = _state(source)
            if symbolic or not _has_link(source, target):
                os.symlink(source, target)
            return
        else:
            shutil.copyfile(source, target)
        _like(source, target)

    def _rename(self) -> None:
        """Programs of the copy start its interpreter, not the real one."""
        if not self._is_venv:
            return
        old, new = os.fsencode(self._environment.prefix), os.fsencode(str(self._folder))
        for path in (self._folder / "bin").iterdir():
            if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGE:
                continue
            content = path.read_bytes()
            if content.startswith(b"#!") or path.name.startswith("activate"):
                path.write_bytes(content.replace(old, new))


def _entry(source: str, target: str) -> Iterator[_Entry]:
    """It and what is in it, a folder first; what a run left of its own is none of it. Nothing where it is not there."""
    try:
        state = os.lstat(source)
    except FileNotFoundError:
        return
    yield _Entry(source, target, state.st_mode, state.st_size)
    if stat.S_ISDIR(state.st_mode):
        for name in sorted(os.listdir(source)):
            if not name.startswith(".nodeferry"):
                yield from _entry(os.path.join(source, name), os.path.join(target, name))


def _has_link(source: str, target: str) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another disk, or a file system without hard links
        return False
    return True


def _like(source: str, target: str) -> None:
    """Owner, mode and times, as far as they can be set; byte code is valid for a file of its time."""
    found = os.lstat(source)
    with suppress(OSError):
        os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    with suppress(OSError):
        os.chmod(target, stat.S_IMODE(found.st_mode))
    with suppress(OSError):
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _state(path: str) -> Tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
