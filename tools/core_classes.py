"""Writes app/nodemap/core_classes.json: the classes of ComfyUI itself, from the texts of its own pages.

    python -m tools.core_classes 1.30.6 1.36.14 1.58.1

Each release of the package comfyui-frontend-package has the texts of all classes that ComfyUI had then, in several
languages. Only the classes' names are kept, with the first and the last of the given releases that have them. The
packages are downloaded from the configured index, some 20 MB each.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

_OUT = Path(__file__).parents[1] / "app/nodemap/core_classes.json"
_PACKAGE = "comfyui-frontend-package"
_SURE = "CheckpointLoaderSimple"
_TEXT = r'"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`'
_PIECE = re.compile(rf"(?:{_TEXT}|[A-Za-z_$][\w$]*):|{_TEXT}|[{{}}]", re.DOTALL)


def main(versions: list[str]) -> int:
    """Downloads the releases, oldest first, and writes the file."""
    classes: dict[str, list[str | None]] = {}
    for version in versions:
        names = _names(version)
        for name, until in classes.items():
            if name not in names and until[1] is None:
                until[1] = version
        for name in names:
            classes.setdefault(name, [version, None])[1] = None
        print(f"{version}: {len(names)} classes", flush=True)
    kept = {name: [since, until] if until else [since] for name, (since, until) in sorted(classes.items())}
    lines = ",\n".join(f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(when)}" for name, when in kept.items())
    _OUT.write_text(f'{{"frontend": {json.dumps(versions)}, "classes": {{\n{lines}\n}}}}\n', encoding="utf-8")
    print(f"{_OUT.name}: {len(kept)} classes")
    return 0


def _names(version: str) -> set[str]:
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{_PACKAGE}=={version}"
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, wanted]
        subprocess.run(command, check=True, timeout=600)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as files:
            texts = [name for name in files.namelist() if "/nodeDefs-" in name and name.endswith(".js")]
            return {key for name in texts for key in _keys(files.read(name).decode())}


def _keys(script: str) -> set[str]:
    """The keys of the object that a language's script ends with: `{KSampler:a,"Name with spaces":b}`."""
    place = max(script.rfind(f"{mark}{_SURE}:") for mark in "{,")
    if place < 0:
        return set()
    depth, keys = 0, set()
    for match in _PIECE.finditer(script, script.rindex("{", 0, place + 1)):
        piece = match.group()
        depth += {"{": 1, "}": -1}.get(piece, 0)
        if depth == 0:
            break
        if depth == 1 and piece.endswith(":"):
            keys.add(piece[:-1].strip("\"'`"))
    return keys


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
