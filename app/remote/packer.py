"""Packs the runner into one file: a zipapp of `app/protocol`, `app/runner` and the two libraries that they use, with
the libraries' licences. The same sources give the same bytes.

Nothing of the service imports the runner; its sources are found by path. The libraries are those that are installed
beside the service: requirements.txt pins releases that run on Python 3.9 (docs/decisions, 0012).
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

APP_FOLDER = Path(__file__).resolve().parents[1]
PACKAGES = ("protocol", "runner")
_MAIN = b"""import sys

from app.runner import compiled

compiled.install()
from app.runner.main import main

sys.exit(main())
"""
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Library:
    """A distribution whose package travels in the zipapp. `modules`: those that are needed; empty for all."""

    distribution: str
    package: str
    modules: frozenset[str] = frozenset()

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Its Python modules and its licence files, under their names in the zipapp."""
        installed = metadata.distribution(self.distribution)
        for file in installed.files or ():
            if str(file.parent) == self.package and file.suffix == ".py":
                if file.stem in self.modules or not self.modules:
                    yield f"{self.package}/{file.name}", file.read_binary()
            elif file.name.startswith("LICENSE") and ".dist-info" in file.parts[0]:
                yield f"licenses/{self.distribution}-{installed.version}/{file.name}", file.read_binary()


# Read by what `packaging.requirements` imports; the others (metadata, lock files, licences) are as large again.
_PACKAGING = frozenset(
    {
        "__init__",
        "_elffile",
        "_manylinux",
        "_musllinux",
        "_parser",
        "_ranges",
        "_tokenizer",
        "markers",
        "requirements",
        "specifiers",
        "tags",
        "utils",
        "version",
    }
)
LIBRARIES = (
    Library("packaging", "packaging", _PACKAGING),
    Library("PyYAML", "yaml"),
)


@dataclass(frozen=True, slots=True)
class Packed:
    """The zipapp's bytes and their SHA-256 (hex), by which it is named on the instance."""

    content: bytes
    sha256: str

    @property
    def name(self) -> str:
        """Its file name on an instance."""
        return f"nodeferry-{self.sha256[:16]}.pyz"


@cache
def pack_runner(app_folder: Path = APP_FOLDER) -> Packed:
    """The runner's zipapp; built once a process, and readable from any thread."""
    paths = [app_folder / "__init__.py", *(path for name in PACKAGES for path in (app_folder / name).rglob("*.py"))]
    members = {f"app/{path.relative_to(app_folder).as_posix()}": path.read_bytes() for path in paths}
    members["__main__.py"] = _MAIN
    for library in LIBRARIES:
        members.update(library.members())
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(members.items()):
            # Dates and rights are fixed: the file's name is its hash, which may change with the sources alone.
            entry = zipfile.ZipInfo(name, _FIXED_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    content = target.getvalue()
    return Packed(content, hashlib.sha256(content).hexdigest())
