"""Machines whose packs import only with certain versions, and what tests of the second round ask of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from app.protocol.repairs import Repair
from test.guard.conftest import box_factory, index, make_box_of, verified
from test.plan.box import Box
from test.runner.conftest import old_python, rig, rig_factory, uv_rig
from test.runner.rig import Run
from test.verify.conftest import NODES

__all__ = ["box", "box_factory", "index", "make_box_of", "old_python", "rig", "rig_factory", "uv_rig"]

from test.guard.conftest import box


def code(name: str, body: str) -> dict[str, Any]:
    """A pack's fields whose import runs `body` first."""
    return {"files": {"__init__.py": f"{body}\n{NODES % name}"}}


def needs(package: str, version: str) -> str:
    """Python that fails unless a package of the index has this version, as real code does: a name is missing."""
    return (
        f"import {package}\nif {package}.__version__ != {version!r}:\n    from {package} import only_in_another_version"
    )


def install(box: Box, *packs: dict[str, Any], **request: Any) -> Run:
    """An install with ComfyUI's imports, and time for a second round."""
    return verified(box, *packs, **request)


def repair_of(run: Run) -> Repair:
    """What its second round found."""
    found = run.snapshot().repair
    assert found is not None, run.said()
    return found


def content(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder: what is in it, and its mode; links as what they point to."""
    found = {}
    for parent, _names, files in os.walk(folder):
        for name in files:
            path = Path(parent, name)
            raw = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(folder))] = (hashlib.sha256(raw).hexdigest(), path.lstat().st_mode)
    return found
