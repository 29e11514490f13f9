"""Imports the zipapp's modules from code that an earlier call has compiled.

Python compiles each module that it imports from a zipapp, each time. Here the compiled code is kept in one file beside
the zipapp, which only we can have written and which fits only this zipapp and this Python. Whatever is wrong with that
file, the modules are compiled from their sources, as if there were none. docs/decisions, 0015.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import stat
import sys
import time
import zlib
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any, Dict, List, Optional, Sequence, Tuple, cast
from zipimport import zipimporter

_PACKAGES = ("app", "packaging", "yaml")
"""The packages in the zipapp: ours, and the libraries that the packer takes."""
_SUFFIX = ".compiled"
_BEGIN = b"nodeferry compiled 1\n"
_MOST_BYTES = 16 * 1024 * 1024
"""Of the file; ours has 1.5 MB."""
_SPARE_BYTES = 64 * 1024 * 1024
"""A disk with less than this is left to those that need it."""
_STALE_SECONDS = 60.0
_Modules = Dict[str, Tuple[bool, bytes]]
"""By full name: whether it is a package, and its code as marshal has it."""


class _Cache:
    """The file beside one zipapp."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._path = os.path.abspath(archive) + _SUFFIX
        self._key = self._identity()

    def _identity(self) -> str:
        """Of this zipapp, as it lies there, and of this Python: code is kept for no other. Empty where there is no
        zipapp."""
        try:
            found = os.stat(self._archive)
        except OSError:
            return ""
        zipapp = (self._archive, found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        python = (sys.version, importlib.util.MAGIC_NUMBER, sys.flags.optimize)
        return repr((zipapp, python))

    def read(self) -> _Modules:
        """What is kept; nothing where it does not fit, is damaged, or may be somebody else's."""
        try:
            raw = _trusted(self._path)
            begin, kept = raw[: len(_BEGIN) + 4], raw[len(_BEGIN) + 4 :]
            if begin != _BEGIN + zlib.crc32(kept).to_bytes(4, "big"):
                return {}
            key, modules = marshal.loads(kept)  # noqa: S302 - of a file that only we can have written
        except (OSError, ValueError, EOFError, TypeError):
            return {}
        found: _Modules = modules if key == self._key != "" else {}
        return found

    def write(self, modules: _Modules) -> None:
        """Replaces what is kept, in one step. Raises OSError; then what was kept is left."""
        folder = os.statvfs(os.path.dirname(self._path))
        if folder.f_bavail * folder.f_frsize < _SPARE_BYTES or self._identity() != self._key != "":
            return
        kept = marshal.dumps((self._key, modules))
        new = self._path + ".new"
        try:
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:  # another call writes at this moment, or was killed while it did
            if time.time() - os.lstat(new).st_mtime > _STALE_SECONDS:
                os.unlink(new)
            return
        try:
            with open(fd, "wb") as file:
                file.write(_BEGIN + zlib.crc32(kept).to_bytes(4, "big") + kept)
            os.replace(new, self._path)
        except OSError:
            os.unlink(new)
            raise


def _trusted(path: str) -> bytes:
    """The content of a file that nobody else can have written. Raises OSError for any other."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        is_ours = found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o600 and found.st_nlink == 1
        if not stat.S_ISREG(found.st_mode) or not is_ours or found.st_size > _MOST_BYTES:
            raise PermissionError(path)
        return file.read(_MOST_BYTES)


class CompiledImporter:
    """Finds and loads the modules of the zipapp, as importlib.abc describes it (importing that would take longer than
    all else that `status` does). Any thread may import: Python's own locks hold that no thread sees a
    module before it is complete."""

    def __init__(self, zipapp: zipimporter) -> None:
        self._zipapp = zipapp
        self._cache = _Cache(zipapp.archive)
        self._kept = self._cache.read()
        self._compiled: Dict[str, Tuple[bool, CodeType]] = {}
        """What this process had to compile."""
        self._saved = 0

    def find_spec(
        self, fullname: str, _path: Optional[Sequence[str]] = None, _target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        """A module of the zipapp; None for all others."""
        if fullname.partition(".")[0] not in _PACKAGES or not self._has(fullname):
            return None
        origin = os.path.join(self._zipapp.archive, self._file(fullname))
        parts = [os.path.dirname(origin)] if self.is_package(fullname) else None
        loader = cast("Any", self)
        return importlib.util.spec_from_file_location(fullname, origin, loader=loader, submodule_search_locations=parts)

    def create_module(self, _spec: ModuleSpec) -> None:
        """Python makes the module."""

    def _has(self, fullname: str) -> bool:
        return fullname in self._kept or fullname in self._compiled or self._compile(fullname)

    def _compile(self, fullname: str) -> bool:
        """From the source, package or module. False where the zipapp has neither."""
        base = fullname.replace(".", "/")
        for is_package, file in ((True, base + "/__init__.py"), (False, base + ".py")):
            try:
                source = self._zipapp.get_data(file)
            except OSError:
                continue
            name = os.path.join(self._zipapp.archive, file)
            self._compiled[fullname] = is_package, compile(source, name, "exec", dont_inherit=True)
            return True
        return False

    def _file(self, fullname: str) -> str:
        return fullname.replace(".", "/") + ("/__init__.py" if self.is_package(fullname) else ".py")

    def is_package(self, fullname: str) -> bool:
        """Whether it has submodules. Raises ImportError for what is not in the zipapp."""
        if not self._has(fullname):
            raise ImportError("%s is not in the zipapp" % fullname, name=fullname)
        return self._compiled[fullname][0] if fullname in self._compiled else self._kept[fullname][0]

    def get_code(self, fullname: str) -> CodeType:
        """Its code. Raises ImportError for what is not in the zipapp."""
        self.is_package(fullname)
        if fullname in self._compiled:
            return self._compiled[fullname][1]
        code: CodeType = marshal.loads(self._kept[fullname][1])  # noqa: S302 - see _Cache.read
        return code

    def get_source(self, fullname: str) -> str:
        """Its source, which tracebacks quote. Raises ImportError for what is not in the zipapp."""
        return self.get_data(self._file(fullname)).decode("utf-8")

    def get_data(self, path: str) -> bytes:
        """A file of the zipapp. Raises OSError."""
        return self._zipapp.get_data(path)

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module's code."""
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - what importing is

    def save(self) -> None:
        """Keeps what this process had to compile, beside what others have kept meanwhile. Where that is not possible,
        the next call compiles it again."""
        fresh = dict(self._compiled)
        if len(fresh) == self._saved or sys.dont_write_bytecode:
            return
        self._saved = len(fresh)
        try:
            kept = {name: (is_package, marshal.dumps(code)) for name, (is_package, code) in fresh.items()}
            self._cache.write({**self._kept, **self._cache.read(), **kept})
        except OSError:
            return


_importers: List[CompiledImporter] = []


def install() -> None:
    """From now on the zipapp's modules are imported this way; nothing where this is no zipapp. Called once, before
    anything else of it is imported."""
    zipapp = getattr(sys.modules[__name__], "__loader__", None)
    if not isinstance(zipapp, zipimporter):
        return
    importer = CompiledImporter(zipapp)
    sys.meta_path.insert(0, cast("Any", importer))
    _importers.append(importer)


def save() -> None:
    """Keeps what this process had to compile, for the calls that come; without an error where that is not possible."""
    for importer in _importers:
        importer.save()
