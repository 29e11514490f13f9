"""What a resolution may not change: the torch family and what ComfyUI itself requires.

A pack's lines about the torch family are taken out of its file; the rest goes to the resolver, with constraints and
overrides that keep what is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Mapping, Optional, Sequence

from app.protocol.snapshot import Problem
from app.runner.environment.torch_companions import as_lines, companion_bounds
from app.runner.environment.torch_family import protected, protected_name
from app.runner.hints.line_words import about_python
from app.runner.requirements.file_options import FileOptions
from app.runner.requirements.files import read_file
from app.runner.requirements.left_out import LeftOutLines
from app.runner.requirements.lines import as_constraint, bounds_of, name_of
from app.runner.requirements.versions import readable, satisfies


@dataclass
class Requirements:
    """The lines for the resolver, the protected ones that were taken out, and what cannot be used."""

    lines: List[str] = field(default_factory=list)
    held: List[str] = field(default_factory=list)
    left_out: List[str] = field(default_factory=list)
    problem: Optional[Problem] = None
    bad: LeftOutLines = field(default_factory=LeftOutLines)
    """The lines that are no requirements."""
    hashes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: List[str] = field(default_factory=list)
    """What else is not as pip would have it."""
    unmet: Optional[Problem] = None
    """The installed build of the torch family is out of a line's bounds."""
    options: FileOptions = field(default_factory=FileOptions)


def read_requirements(path: Path, folder: Path, packages: Mapping[str, str], *, python: str = "") -> Requirements:
    """The requirements of the pack in `folder`; `packages` are the installed ones, `python` is the version
    of ComfyUI's. Raises OSError."""
    lines, problem, bad, notes, hashes, options = read_file(path, folder)
    found = Requirements(problem=problem, bad=bad, notes=notes, hashes=hashes, options=options)
    installed = protected(packages)
    for line in lines:
        name = protected_name(line)
        if name_of(line) == "python":
            found.bad.add(about_python(line, python))
        elif name in installed:
            found.held.append(line)
            found.unmet = found.unmet or _unmet(line, name, installed[name])
        elif name:
            found.left_out.append(line)
        else:
            found.lines.append(line)
    return found


def _unmet(line: str, name: str, version: str) -> Optional[Problem]:
    bounds = bounds_of(line)
    if bounds is None or satisfies(version, bounds) is not False:
        return None
    text = "The pack asks for %s, but %s %s is installed and is never replaced." % (line, name, version)
    hint = "Use an image with that build, or another version of the pack. Its other packages are installed."
    return Problem("torch_version_wanted", text, hint)


def constraints(packages: Mapping[str, str], ui_home: Path, image: Sequence[str] = ()) -> List[str]:
    """What every resolution must keep: the installed torch family exactly, companions of torch in versions that fit it,
    ComfyUI's own requirements as they are, and the machine's own constraints (`image`)."""
    family = [(name, readable(version)) for name, version in sorted(protected(packages).items())]
    lines = ["%s==%s" % (name, version) for name, version in family if version]
    try:
        own = read_requirements(ui_home / "requirements.txt", ui_home, packages).lines
    except OSError:
        own = []
    return [*lines, *as_lines(companion_bounds(packages)), *[line for line in map(as_constraint, own) if line], *image]


def never(packages: Mapping[str, str]) -> List[str]:
    """Overrides that take the torch family out of a resolution which cannot see that it is installed."""
    names = {*protected(packages), "torch", "torchvision", "torchaudio", "xformers", "triton"}
    return ["%s ; sys_platform == 'never'" % name for name in sorted(names)]
