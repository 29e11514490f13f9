"""Finding ComfyUI's interpreter, with proof: it says what it sees, and imports torch.

Nothing is sourced or activated; every path is absolute. Candidates and their order: docs/runner.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from app.runner.environment.environment import Environment
from app.runner.environment.inspection import inspect
from app.runner.machine.environments import Broken, Candidate, candidates, python_in
from app.runner.machine.layout import running_with
from app.runner.process.errors import RunFault
from app.runner.process.execute import Execute, execute
from app.runner.process.processes import environ_of
from app.runner.requirements.lines import canonical

_GIVE = "Give the folder of its virtual environment as venv_path."
_MOST_RIVALS = 6
_MOST_BYTES = 256 * 1024
Choose = Callable[[str, Mapping[str, str]], Optional[str]]
"""Asks a person: the question, and a label for each answer. None where nobody decides. Raises RunCancelled."""


@dataclass(frozen=True)
class Interpreter:
    """What was found. `why`: in words that go on with “it”; `others`: environments that would do as well, which were
    not chosen; `broken`: what looks like ComfyUI's and cannot be started."""

    environment: Environment
    why: str = ""
    others: Tuple[Candidate, ...] = ()
    broken: Tuple[Broken, ...] = ()


@dataclass
class _Search:
    """What was tried so far."""

    required: FrozenSet[str]
    run: Execute
    tried: List[str] = field(default_factory=list)
    best: Optional[Tuple[int, Environment, Candidate]] = None

    def fits(self, candidate: Candidate) -> Optional[Environment]:
        """Its environment, where it has torch and most of what ComfyUI needs; None else, and the best is kept."""
        try:
            found = inspect(candidate.python, self.run, torch=True)
        except OSError as exc:
            self.tried.append("%s (%s)" % (candidate.python, exc.strerror or exc))
            return None
        has = sum(name in found.packages for name in self.required)
        if found.torch_version and has * 2 >= len(self.required):
            return found
        lacks = "most of what ComfyUI needs is missing" if found.torch_version else "no torch"
        self.tried.append("%s (%s)" % (candidate.python, lacks))
        points = has + (len(self.required) + 1 if found.torch_version else 0)
        if self.best is None or points > self.best[0]:
            self.best = (points, found, candidate)
        return None


def find_interpreter(
    ui_home: Path, venv_path: Optional[str], run: Execute = execute, *, base: Optional[Path] = None
) -> Environment:
    """The environment of the interpreter to use. Raises RunFault `interpreter_not_found` naming what was tried."""
    return choose_interpreter(ui_home, venv_path, run, base=base).environment


def choose_interpreter(
    ui_home: Path,
    venv_path: Optional[str],
    run: Execute = execute,
    *,
    base: Optional[Path] = None,
    choose: Optional[Choose] = None,
) -> Interpreter:
    """The running ComfyUI's interpreter; else the first that has torch and most of ComfyUI's requirements. `choose`:
    asks where several near ComfyUI do. Raises RunFault `interpreter_not_found` naming what was tried, RunCancelled."""
    if venv_path:
        return Interpreter(_given(venv_path, run), "was asked for")
    running = running_with(ui_home, base)
    listed, broken = candidates(ui_home, base, running)
    search = _Search(_needed(ui_home), run)
    for number, candidate in enumerate(listed):
        found = search.fits(candidate)
        if found is None:
            continue
        runs = candidate.python in [process.python for process in running]
        rivals = [] if runs else _rivals(search, candidate, found, listed[number + 1 :])
        if not rivals:
            return Interpreter(found, candidate.why, (), tuple(broken) if not runs else ())
        return _one_of([(candidate, found), *rivals], tuple(broken), choose)
    if search.best is not None and (search.best[1].torch_version or not broken):
        _, found, candidate = search.best
        return Interpreter(found, candidate.why, (), tuple(broken))
    raise _not_found(search.tried, broken)


def _given(venv_path: str, run: Execute) -> Environment:
    folder = Path(venv_path)
    folder = folder.parent if folder.name == "pyvenv.cfg" else folder
    inner = python_in(folder) or python_in(folder.parent) if folder.is_dir() else str(folder)
    path = inner or str(folder / "bin" / "python")
    try:
        return inspect(path, run, torch=True)
    except OSError as exc:
        text = "venv_path %s is not a working Python: %s" % (path, exc.strerror or exc)
        hint = "Give the folder of ComfyUI's virtual environment."
        raise RunFault("interpreter_not_found", text, hint) from None


def _rivals(
    search: _Search, taken: Candidate, found: Environment, others: Sequence[Candidate]
) -> List[Tuple[Candidate, Environment]]:
    """Others near ComfyUI that would do as well; one environment may have several names."""
    rivals: List[Tuple[Candidate, Environment]] = []
    prefixes = {os.path.realpath(found.prefix)}
    near = [each for each in others if each.near and taken.near]
    for candidate in near[:_MOST_RIVALS]:
        other = search.fits(candidate)
        if other is not None and os.path.realpath(other.prefix) not in prefixes:
            prefixes.add(os.path.realpath(other.prefix))
            rivals.append((candidate, other))
    return rivals


def _one_of(
    found: Sequence[Tuple[Candidate, Environment]], broken: Tuple[Broken, ...], choose: Optional[Choose]
) -> Interpreter:
    """Whom the image's own PATH has, else whom a person chooses, else the first."""
    on_path = environ_of(1).get("PATH", "").split(":")
    named = [each for each in found if os.path.dirname(each[0].python) in on_path]
    taken = named[0] if len(named) == 1 else found[0]
    why = "%s, and is on the image's PATH" % taken[0].why if named == [taken] else taken[0].why
    if named != [taken] and choose is not None:
        text = "Several Pythons on the machine have what ComfyUI needs. Which one does it run with?"
        labels = {str(number): "%s: it %s" % (one.python, one.why) for number, (one, _) in enumerate(found, 1)}
        answer = choose(text, labels)
        taken, why = (found[int(answer) - 1], "was chosen") if answer else (taken, why)
    others = tuple(one for one, _ in found if one is not taken[0])
    return Interpreter(taken[1], why, others, broken)


def _not_found(tried: Sequence[str], broken: Sequence[Broken]) -> RunFault:
    text = "ComfyUI's Python was not found (tried: %s)." % (", ".join(tried) or "nothing, there is none")
    if not broken:
        return RunFault("interpreter_not_found", text, _GIVE)
    listed = ", ".join(map(str, broken))
    text = "ComfyUI's Python environment cannot be started: %s. No other was found that has torch." % listed
    hint = "Make it anew (uv venv, then ComfyUI's requirements), or give the folder of another one as venv_path."
    return RunFault("interpreter_not_found", text, hint)


def _needed(ui_home: Path) -> FrozenSet[str]:
    """The canonical names in ComfyUI's own requirements.txt; none where it cannot be read."""
    try:
        with open(str(ui_home / "requirements.txt"), encoding="utf-8", errors="replace") as file:
            lines = file.read(_MOST_BYTES).splitlines()
    except OSError:
        return frozenset()
    words = (line.partition("#")[0].strip() for line in lines)
    names = (_name_of(word) for word in words if word and word[0].isalnum())
    return frozenset(canonical(name) for name in names)


def _name_of(line: str) -> str:
    end = next((at for at, letter in enumerate(line) if not (letter.isalnum() or letter in "-_.")), len(line))
    return line[:end]
