"""Packages whose own code leaves a note when it runs: its arguments, and the environment that it got."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PROJECT = '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
_BACKEND = """
import json, os, zipfile
with open({notes!r}, "a") as file:
    file.write(json.dumps({{"package": {name!r}, "environ": dict(os.environ)}}) + "\\n")
NAME = {folder!r}
METADATA = "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n" + {requires!r}
FILES = {{
    NAME + ".dist-info/METADATA": METADATA,
    NAME + ".dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}}
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.mkdir(os.path.join(folder, NAME + ".dist-info"))
    for name, text in FILES.items():
        open(os.path.join(folder, name), "w").write(text)
    return NAME + ".dist-info"
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(os.path.join(folder, NAME + "-py3-none-any.whl"), "w") as wheel:
        for name, text in {{**FILES, NAME + ".dist-info/RECORD": ""}}.items():
            wheel.writestr(name, text)
    return NAME + "-py3-none-any.whl"
prepare_metadata_for_build_editable, build_editable = prepare_metadata_for_build_wheel, build_wheel
"""


class Canaries:
    """Makes such packages, and knows whose code has run."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._notes = folder / "notes"

    def source(self, name: str, version: str = "1.0", requires: Sequence[str] = ()) -> dict[str, str]:
        """The files of a package of which only its own code says its version and what it requires."""
        words = "".join(f"Requires-Dist: {line}\n" for line in requires)
        folder = f"{name.replace('-', '_')}-{version}"
        told = {"notes": str(self._notes), "name": name, "version": version, "folder": folder, "requires": words}
        return {"pyproject.toml": _PROJECT, "own.py": _BACKEND.format(**told)}

    def archive(self, name: str, version: str = "1.0", requires: Sequence[str] = ()) -> bytes:
        """Its source distribution."""
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w:gz") as archive:
            for path, text in self.source(name, version, requires).items():
                entry = tarfile.TarInfo(f"{name.replace('-', '_')}-{version}/{path}")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        return target.getvalue()

    @property
    def notes(self) -> list[Mapping[str, Any]]:
        """What ran, in its order: the package, and the environment that it got."""
        return [json.loads(line) for line in self._notes.read_text().splitlines()] if self._notes.exists() else []

    @property
    def ran(self) -> set[str]:
        """The packages whose code has run."""
        return {str(note["package"]) for note in self.notes}
