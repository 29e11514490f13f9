"""Which lines of a pack's requirements cannot be had, whoever else asks for what: they cost the pack nothing else.

A line is left out only when it cannot be resolved by itself either. One that only contradicts what others need is a
conflict, and no matter of this module.
"""

from __future__ import annotations

import re
import time
from typing import Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence

from app.protocol.snapshot import Problem
from app.runner.hints import reasons
from app.runner.hints.line_words import left_out
from app.runner.process.children import Finished
from app.runner.requirements.lines import canonical, name_of
from app.runner.resolve import blame
from app.runner.resolve.plan import PackRequirements

_CODES = """
    known_bad build_refused direct_url_refused
    requirement_not_found no_wheel python_version package_unreadable package_yanked hash_mismatch
    bad_requirement requirement_source_unavailable build_failed build_skipped build_stalled build_timed_out
    build_needs_torch compiler_missing cmake_missing rust_missing cuda_toolkit_missing cuda_version
    python_headers_missing system_header_missing requirements_failed git_lfs
"""
CANNOT_BE_HAD = frozenset(_CODES.split())
"""The reasons for which a line is left out: nobody could have it here."""
_OF_ADDRESSES = frozenset({"registry_not_reached", "registry_timed_out", "certificate_not_trusted", "rate_limited"})
_UNKNOWN = re.compile(
    r"Because ([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])? was not found in the package registry "
    r"and you require ([A-Za-z0-9][\w.-]*?)(?:\[[^\]]*\])?(?=[<>=!~\s,])"
)
_YANKED = re.compile(r"(?<![\w.-])([A-Za-z0-9][\w.-]*)==(\S+?)\s+was\s+yanked")
_MOST_ROUNDS = 8
"""How often lines of one pack are looked for."""
_ALL_FROM = 3
"""From this round on all lines of the pack are looked at, and not only those that uv names."""
_MOST_TRIES = 40
"""Resolutions of single lines, for one pack in one round."""
_MOST_OF_CONFLICT = 4
_MOST_SECONDS = 120.0
"""For all of a run's looking at single lines."""
Alone = Callable[[Sequence[str]], Finished]
"""Resolves lines by themselves, whatever else is installed or asked for. Raises RunCancelled."""


def unknown_names(output: str) -> FrozenSet[str]:
    """The packages (canonical names) that uv was asked for directly and that its index does not have."""
    found = _UNKNOWN.findall(" ".join(output.split()))
    return frozenset(canonical(name) for name, required in found if canonical(name) == canonical(required))


def leave_out_unknown(items: Sequence[PackRequirements], finished: Finished, python: str) -> bool:
    """Whether lines of these packs were left out, since the index has no package of their name. Not those of packs that
    name indexes of their own, which may have it."""
    unknown = unknown_names(finished.output)
    problem = reasons.of_packages(finished)
    changed = False
    for item in items if unknown and problem.code == "requirement_not_found" else ():
        for line in [] if item.options else item.lines_about(unknown):
            item.leave_out(left_out(line, problem, finished.output, python))
            changed = True
    return changed


class BadLines:
    """One run's. For one thread at a time."""

    def __init__(self, alone: Alone, python: str, allow_yanked: Sequence[str]) -> None:
        """`python`: the version of ComfyUI's; `allow_yanked`: pins that may be installed though they are yanked."""
        self._alone = alone
        self._python = python
        self._allowed = {_pin(pin) for pin in allow_yanked}
        self._rounds: Dict[str, int] = {}
        self._left = _MOST_SECONDS

    def changed(self, item: PackRequirements, problem: Problem, finished: Finished, had: Mapping[str, Problem]) -> bool:
        """Whether the pack's lines are others now, so that it is worth asking again: what cannot be had was left out,
        or a yanked version that is allowed was named. `problem`: why the pack was refused, in `finished`; `had`:
        packages that cannot be had, and why. Raises RunCancelled."""
        is_conflict = problem.code == "requirement_conflict"
        if (
            not (is_conflict or problem.code in _codes(finished))
            or self._rounds.get(item.name, 0) >= _MOST_ROUNDS
            or self._left <= 0
        ):
            return False
        self._rounds[item.name] = self._rounds.get(item.name, 0) + 1
        began = time.monotonic()
        try:
            if is_conflict:  # a version that does not exist contradicts every other one
                named = item.lines_about(blame.required(finished.output))
                return self._try(item, named[:_MOST_OF_CONFLICT], had)
            return self._name_yanked(item, finished) or self._leave_out(item, finished, had)
        finally:
            self._left -= time.monotonic() - began

    def _name_yanked(self, item: PackRequirements, finished: Finished) -> bool:
        """uv takes a yanked version only where somebody asks for just that one directly, as pip does."""
        yanked = {_pin("%s==%s" % found) for found in _YANKED.findall(finished.output)}
        pins = sorted((yanked & self._allowed) - {_pin(line) for line in item.lines})
        if pins:
            item.lines += pins
            item.write()
        return bool(pins)

    def _leave_out(self, item: PackRequirements, finished: Finished, had: Mapping[str, Problem]) -> bool:
        lines = [line for line in item.lines if not line.startswith("--")]
        direct = [line for line in lines if name_of(line) in had]
        for line in direct:
            item.leave_out(left_out(line, had[name_of(line)], "", self._python))
        if direct:
            return True
        named = blame.named(finished.output)
        likely = [line for line in lines if name_of(line) in named]
        if self._rounds[item.name] < _ALL_FROM and likely and self._try(item, likely, had):
            return True
        return self._try(item, [line for line in lines if line not in likely] + likely, had)

    def _try(self, item: PackRequirements, lines: Sequence[str], had: Mapping[str, Problem]) -> bool:
        changed = False
        for line in lines[:_MOST_TRIES]:
            finished = self._alone([*item.options, line])
            problem = self._problem(finished, had)
            if problem is not None:
                item.leave_out(left_out(line, problem, finished.output, self._python))
                changed = True
        return changed

    def _problem(self, finished: Finished, had: Mapping[str, Problem]) -> Optional[Problem]:
        """Why a line cannot be had; None where it can, or where nobody knows."""
        if finished.ok or finished.stopped or finished.code < 0:
            return None
        named = blame.named(finished.output)
        known: List[Problem] = [had[name] for name in sorted(named & had.keys())]
        problem = known[0] if known else reasons.of_packages(finished)
        return problem if problem.code in _codes(finished) else None


def _codes(finished: Finished) -> FrozenSet[str]:
    """What costs a line: a server of its own that does not answer too."""
    return CANNOT_BE_HAD | _OF_ADDRESSES if blame.is_of_an_address(finished) else CANNOT_BE_HAD


def _pin(text: str) -> str:
    name, _, version = text.partition("==")
    return "%s==%s" % (canonical(name.strip()), version.strip().rstrip(","))
