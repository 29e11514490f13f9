"""Who needs which packages: ComfyUI by its requirements, the packs that are there by theirs, and what is lost of that
between two environments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence

from app.runner.context import Context, PackResult
from app.runner.environment.consistency import why_unmet
from app.runner.environment.environment import Environment
from app.runner.packs.pack_files import DEFAULT_REQUIREMENTS
from app.runner.requirements.files import read_file
from app.runner.requirements.lines import name_of

COMFYUI = "ComfyUI"


@dataclass(frozen=True)
class Requirement:
    """A requirement line. `who`: ComfyUI, or a pack; `package`: its canonical name."""

    who: str
    line: str
    package: str

    def lost(self, before: Environment, now: Environment) -> str:
        """Why it is not met now, in a sentence; empty when it is, or was not before either."""
        why = why_unmet(self.line, now)
        if not why or why_unmet(self.line, before):
            return ""
        return "%s needs %s, and %s" % (self.who, self.line.partition(";")[0].strip(), why)


def required_by_comfyui(ui_home: Path) -> List[Requirement]:
    """What ComfyUI itself requires."""
    return _lines_in(COMFYUI, ui_home / DEFAULT_REQUIREMENTS, ui_home)


def required_by_packs(context: Context, results: Sequence[PackResult]) -> List[Requirement]:
    """What packs require: those of this run, and all others that ComfyUI loads."""
    files: Dict[Path, str] = {result.requirements: result.pack.name for result in results if result.requirements}
    try:
        folders = sorted(path for path in context.custom_nodes.iterdir() if not path.name.startswith("."))
    except OSError:
        folders = []
    for folder in folders:
        if not folder.name.endswith(".disabled"):
            files.setdefault(folder / DEFAULT_REQUIREMENTS, folder.name)
    return [requirement for path, name in files.items() for requirement in _lines_in(name, path, path.parent)]


def _lines_in(who: str, path: Path, folder: Path) -> List[Requirement]:
    try:
        lines = read_file(path, folder).lines
    except OSError:
        return []
    return [Requirement(who, line, name_of(line)) for line in lines if not line.startswith("-") and name_of(line)]
