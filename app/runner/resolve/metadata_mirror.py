"""What is installed, as resolutions see it: a folder with nothing but the metadata of every package.

uv locks the environment that it looks at, even for a plan, and a plan made while another one is carried out would meet
half-written packages. So plans are made against copies of this folder (`uv pip install --target`), and nothing but an
installation touches the environment. What the system has and the environment sees is in it too, which uv would not see;
and what uv could not read is in it as uv reads it, since one odd package would make it refuse every plan.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import AbstractSet, Any, Dict, Iterator, List, Mapping, Optional, Sequence

from app.runner.environment.environment import imported
from app.runner.environment.package_metadata import PackageMetadata, packages_in
from app.runner.requirements.lines import as_installed
from app.runner.requirements.versions import readable
from app.runner.resolve.plan import write_lines

_KEPT = ("uv_cache.json", "uv_build.json")
"""What uv itself noted of a package that it built."""
_VCS = ("git", "hg", "bzr", "svn")


class MetadataMirror:
    """Made when first needed; `look` again when the environment has changed. From any thread."""

    def __init__(self, folder: Path, paths: Sequence[str]) -> None:
        """`folder`: for its copies; `paths`: where the interpreter finds packages, in its order."""
        self._folder = folder
        self._paths = [path for path in paths if path.startswith("/")]
        self._lock = threading.Lock()
        self._model: Optional[Path] = None
        self._free: List[Path] = []
        self._made = 0
        self.unseen = folder / "unseen.txt"
        """Overrides for the packages whose versions no resolver knows: whoever requires one, it stays as it is."""

    def look(self) -> Dict[str, str]:
        """Reads the environment anew; its packages' canonical names and versions. Raises OSError."""
        with self._lock:
            model, found = self._new(), imported(packages_in(self._paths))
            versions = {name: readable(package.version) for name, package in found.items()}
            write_lines(self.unseen, ["%s ; sys_platform == 'never'" % name for name in versions if not versions[name]])
            for name, version in versions.items():
                if version:
                    _write(model, found[name], version, found.keys())
            self._model, self._free = model, []
            return {name: package.version for name, package in found.items()}

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
        shutil.copytree(str(model), str(copy), copy_function=_link, dirs_exist_ok=True)
        return copy

    def _new(self) -> Path:
        self._made += 1
        path = self._folder / str(self._made)
        path.mkdir(parents=True, mode=0o700)
        return path


def _link(source: str, target: str) -> None:
    """Nobody writes into such a file."""
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _write(model: Path, package: PackageMetadata, version: str, installed: AbstractSet[str]) -> None:
    """One package, with nothing in its files that uv would stumble over."""
    folder = model / ("%s-%s.dist-info" % (re.sub(r"[-_.]+", "_", package.name), version))
    folder.mkdir()
    requires = [line for line in (as_installed(line, installed) for line in package.requires_dist) if line]
    fields = [("Metadata-Version", "2.1"), ("Name", package.name), ("Version", version)]
    fields += [("Provides-Extra", extra) for extra in package.extras]
    fields += [("Requires-Dist", line) for line in requires]
    files = {"METADATA": "".join("%s: %s\n" % field for field in fields), "INSTALLER": package.installer}
    for name in _KEPT:
        with suppress(ValueError):
            noted = json.loads(package.text_of(name) or "null")
            files.update({name: json.dumps(noted)} if isinstance(noted, dict) else {})
    origin = _origin(package.direct_url or {})
    if origin:
        files["direct_url.json"] = json.dumps(origin)
    for file, content in files.items():
        (folder / file).write_text(content, "utf-8", "surrogateescape")


def _origin(direct_url: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """The origin in PEP 610's own form, None where it is not: uv reads it strictly."""
    found: Dict[str, Any] = {key: direct_url[key] for key in ("url", "subdirectory") if direct_url.get(key)}
    vcs, folder, archive = (direct_url.get(key) for key in ("vcs_info", "dir_info", "archive_info"))
    if "url" not in found or not all(isinstance(value, str) for value in found.values()):
        return None
    if isinstance(vcs, dict) and vcs.get("vcs") in _VCS:
        found["vcs_info"] = {key: value for key, value in vcs.items() if isinstance(value, str)}
    elif isinstance(folder, dict):
        found["dir_info"] = {"editable": folder.get("editable") is True}
    elif isinstance(archive, dict):
        found["archive_info"] = {"hash": archive["hash"]} if isinstance(archive.get("hash"), str) else {}
    else:
        return None
    return found
