"""Packs the runner into one file: a zipapp of `app/protocol` and `app/runner`, the same bytes for the same sources.

Nothing of the service imports the runner; its sources are found by path.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

APP_FOLDER = Path(__file__).resolve().parents[1]
PACKAGES = ("protocol", "runner")
_MAIN = b"import sys\n\nfrom app.runner.main import main\n\nsys.exit(main())\n"
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


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
