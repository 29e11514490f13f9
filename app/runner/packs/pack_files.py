"""What a pack that is there still needs: its requirements file, its install script."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult

DEFAULT_REQUIREMENTS = "requirements.txt"


def find_pack_files(context: Context, result: PackResult) -> None:
    """Sets `requirements` and `script`. No file named means requirements.txt if there is one: Manager and the
    CLI do the same."""
    named = result.pack.requirements_file
    found = _inside(result.folder, named or DEFAULT_REQUIREMENTS)
    if found is None and named and named != DEFAULT_REQUIREMENTS:
        result.problem = Problem(
            "requirements_file_missing",
            "The pack has no file %s, which the list of packs names for its requirements." % named,
            "Correct requirements_file (CSV: RequirementsFile) in the list of packs.",
        )
    result.requirements = _not_pointed_to(result, found)
    if context.options.run_scripts:
        result.script = _not_pointed_to(result, _inside(result.folder, "install.py"))


def _not_pointed_to(result: PackResult, file: Optional[Path]) -> Optional[Path]:
    """None for a file of which only Git LFS's note is there."""
    pointed_to = file is not None and os.path.relpath(str(file), str(result.folder)) in result.pointers
    return None if pointed_to else file


def _inside(folder: Path, name: str) -> Optional[Path]:
    """The file, if it is one and lies in the folder, links followed."""
    path = folder / name
    root = os.path.realpath(str(folder)) + os.sep
    return path if path.is_file() and os.path.realpath(str(path)).startswith(root) else None
