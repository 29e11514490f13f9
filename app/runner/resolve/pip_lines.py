"""A pack's requirements by pip, where no uv can be had: all at once, and line by line where one cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from app.protocol.snapshot import Problem
from app.runner.hints import reasons
from app.runner.hints.line_words import left_out
from app.runner.resolve.bad_lines import CANNOT_BE_HAD
from app.runner.resolve.pip import Pip
from app.runner.resolve.plan import PackRequirements, write_lines

_MOST_LINES = 100


def install_with_pip(pip: Pip, item: PackRequirements, held: Path, log: Path, python: str) -> Optional[Problem]:
    """Why the pack's lines could not be installed; None where they were, but for those that are left out. `held`: what
    stays as it is; `python`: the version of ComfyUI's. Raises OSError, RunCancelled."""
    finished = pip.install_with_requirements(item.file, held, log, item.own)
    problem = None if finished.ok else reasons.of_packages(finished)
    lines = item.lines
    if problem is None or problem.code not in CANNOT_BE_HAD or len(lines) > _MOST_LINES:
        return problem
    one = item.file.with_suffix(".line.txt")
    for line in lines:
        write_lines(one, [line])
        finished = pip.install_with_requirements(one, held, log, item.own)
        problem = None if finished.ok else reasons.of_packages(finished)
        if problem is not None and problem.code not in CANNOT_BE_HAD:
            return problem
        if problem is not None:
            item.leave_out(left_out(line, problem, finished.output, python))
    return None
