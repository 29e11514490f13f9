"""Whose fault it is: the packages that uv's explanation names, and the packs that ask for them."""

from __future__ import annotations

import re
from typing import FrozenSet, List, Optional, Sequence

from app.protocol.snapshot import Problem
from app.runner.hints import reasons
from app.runner.hints.uv_words import explain, shortened
from app.runner.process.children import Finished
from app.runner.requirements.lines import bounds_of, canonical
from app.runner.resolve.conflicts import find_conflicts, own_conflict
from app.runner.resolve.plan import PackRequirements

_REQUIRED = re.compile(r"(?:you require|and your project depends on)\s+((?:[^.,]|[.,](?=\S))*)")
_NAME = re.compile(r"(?<![A-Za-z0-9._/-])([A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)*)")
_BOUNDED = re.compile(r"(?<![A-Za-z0-9._-])[._-]*([A-Za-z0-9][A-Za-z0-9._-]*)(?=[<>=!~@])")
_FAILED = re.compile(
    r"Failed to (?:build|download|fetch|read|extract|prepare|install|unpack)[^`\n]*"
    r"`([A-Za-z0-9][A-Za-z0-9._-]*?)(?:==|@| @|`)"
)
_ADDRESSED = re.compile(r"Failed to (?:build|download|fetch|read)[^`\n]*`[^`\n]+? @ [^`\n]+`")


def named(output: str) -> FrozenSet[str]:
    """All that could be a package's name in what uv says: to be matched with names that are known."""
    return frozenset(canonical(word) for word in _NAME.findall(error_of(output)))


def required(output: str) -> FrozenSet[str]:
    """The packages that uv says were asked for directly."""
    text = " ".join(error_of(output).split())
    return frozenset(canonical(word) for part in _REQUIRED.findall(text) for word in _NAME.findall(part))


def _bounded(output: str) -> FrozenSet[str]:
    """The packages that uv says were asked for directly with bounds."""
    text = " ".join(error_of(output).split())
    return frozenset(canonical(name) for part in _REQUIRED.findall(text) for name in _BOUNDED.findall(part))


def failed_package(output: str) -> Optional[str]:
    """The package that could not be fetched, built or installed."""
    found = _FAILED.findall(output)
    return canonical(found[-1]) if found else None


def is_of_an_address(finished: Finished) -> bool:
    """Whether uv failed at what somebody's line names by its address, and not at the index."""
    return not finished.ok and _ADDRESSED.search(finished.output) is not None


def suspects(items: Sequence[PackRequirements], output: str) -> List[PackRequirements]:
    """The packs that ask for what uv names in its explanation."""
    unread = [item for item in items if re.search(r"in `[^`\n]*%s`" % re.escape(item.file.name), output)]
    if unread:
        return unread  # uv cannot read their files
    direct = required(output) or named(output)
    bounded = _bounded(output)
    accused = [item for item in items if item.names & direct]
    strict = [
        item
        for item in accused
        if any(bounds_of(line) != "" for line in item.lines_about(bounded)) or item.names & (direct - bounded)
    ]
    return strict or accused


def of_pack(
    item: PackRequirements,
    finished: Finished,
    others: Sequence[PackRequirements],
    own: Sequence[str],
    image: Sequence[str] = (),
) -> Problem:
    """Why a pack's requirements could not be had, with the other party's name. `own`: what ComfyUI itself requires and
    what of the torch family is kept, as lines; `image`: the machine's own constraints."""
    problem = reasons.of_packages(finished)
    if problem.code != "requirement_conflict":
        return problem
    found = find_conflicts(item, others, own, image, " ".join(error_of(finished.output).split()))
    if not found:
        return _of_itself(item, problem)
    hint = "It contradicts: %s. Leave one of them out, or ask its author to allow more versions." % "; ".join(found[:4])
    return Problem(problem.code, problem.message, shortened(hint))


def _of_itself(item: PackRequirements, problem: Problem) -> Problem:
    lines = own_conflict(item)
    if not lines:
        return problem
    hint = "The pack's own lines contradict each other: %s. Report it to the pack's author." % ", ".join(lines)
    return Problem(problem.code, problem.message, shortened(hint))


def of_package(package: str, finished: Finished) -> Problem:
    """Why the packs that need this package fail: it could not be fetched or built."""
    problem = reasons.of_packages(finished)
    if re.search(r"\b%s\b" % re.escape(package), canonical(problem.message)):
        return problem
    return Problem(problem.code, "%s: %s" % (package, problem.message), problem.hint)


def conflict_if_yanked(problem: Problem, finished: Finished) -> Problem:
    """A pack whose lines can all be had by themselves: that some version is yanked is not why it fails."""
    if problem.code != "package_yanked":
        return problem
    text = "The pack's requirements contradict what is installed, or what other packs require. %s"
    hint = "Look at the pack's log: it names both sides."
    return Problem("requirement_conflict", text % explain(finished.output), hint)


def error_of(output: str) -> str:
    """uv's output from its last error on."""
    starts = [found.start() for found in re.finditer(r"^[^\S\n]*(?:error:|×)", output, re.MULTILINE)]
    return output[starts[-1] :] if starts else output
