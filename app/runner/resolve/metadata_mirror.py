"""What is installed, as resolutions see it: a folder with nothing but the metadata of every package.

uv locks the environment that it looks at, even for a plan, and a plan made while another one is carried out would meet
half-written packages. So plans are made against copies of this folder (`uv pip install --target`), and nothing but an
installation touches the environment. What the system has and the environment sees is in it too, which uv would not see.
"""

from __future__ import annotations

import re
import shutil
import threading
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from app.runner.requirements.lines import canonical
from app.runner.requirements.versions import is_version

_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$")
_FIELD = re.compile(r"^(Name|Version):[ \t]*(\S+)[ \t]*\r?$", re.MULTILINE)
_KEPT = ("WHEEL", "INSTALLER", "direct_url.json", "uv_cache.json", "uv_build.json")
"""What uv looks at beside the metadata, to see whether a package is what is asked for."""


class MetadataMirror:
    """Made when first needed; `look` again when the environment has changed. From any thread."""

    def __init__(self, folder: Path, paths: Sequence[str]) -> None:
        """`folder`: for its copies; `paths`: where the interpreter finds packages, in its order."""
        self._folder = folder
        self._paths = [path for path in paths if path.startswith("/")]
        self._lock = threading.Lock()
        self._model: Optional[Path] = None
        self._versions: Dict[str, str] = {}
        self._free: List[Path] = []
        self._made = 0

    def look(self) -> Dict[str, str]:
        """Reads the environment anew; its packages' canonical names and versions. Raises OSError."""
        with self._lock:
            model = self._new()
            versions = {}
            for name, version, files in _distributions(self._paths):
                if canonical(name) not in versions:
                    versions[canonical(name)] = version
                    _write(model, name, version, files)
            self._model, self._versions, self._free = model, versions, []
            return dict(versions)

    @contextmanager
    def lent(self) -> Iterator[Path]:
        """A copy that is nobody else's for now: who asks one that is in use waits for its lock. Raises OSError."""
        if self._model is None:
            self.look()
        with self._lock:
            model = self._model
            assert model is not None
            copy = self._free.pop() if self._free else self._copy(model)
        try:
            yield copy
        finally:
            with self._lock:
                if model is self._model:
                    self._free.append(copy)

    def _copy(self, model: Path) -> Path:
        copy = self._new()
        shutil.copytree(str(model), str(copy), copy_function=shutil.copyfile, dirs_exist_ok=True)
        return copy

    def _new(self) -> Path:
        self._made += 1
        path = self._folder / str(self._made)
        path.mkdir(parents=True, mode=0o700)
        return path


def _distributions(paths: List[str]) -> Iterator[Tuple[str, str, Dict[str, str]]]:
    """Names, versions and files of the packages in these folders. What has no name is none, for uv too; what has a
    version that PEP 440 does not know (Debian's `1.1build1`) would make uv refuse every plan."""
    for found in metadata.distributions(path=paths):
        try:
            text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
            kept = [(name, found.read_text(name)) for name in _KEPT]
        except (OSError, ValueError):
            continue
        fields = dict(reversed(_FIELD.findall(re.split(r"\r?\n\r?\n", text, maxsplit=1)[0])))
        name, version = fields.get("Name", ""), fields.get("Version", "")
        if _NAME.match(name) and is_version(version):
            yield name, version, {"METADATA": text, **{name: content for name, content in kept if content}}


def _write(model: Path, name: str, version: str, files: Dict[str, str]) -> None:
    folder = model / ("%s-%s.dist-info" % (re.sub(r"[-_.]+", "_", name), version))
    folder.mkdir()
    for file, content in files.items():
        (folder / file).write_text(content, "utf-8", "surrogateescape")
