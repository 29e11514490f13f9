"""Whose fault it is: the packages that uv's explanation names, and the packs that ask for them."""

from __future__ import annotations

import re
from typing import FrozenSet, List, Optional, Sequence

from app.protocol.snapshot import Problem
from app.runner.hints import reasons
from app.runner.hints.uv_words import shortened
from app.runner.process.children import Finished
from app.runner.requirements.lines import bounds_of, canonical
from app.runner.resolve.conflicts import find_conflicts
from app.runner.resolve.plan import PackRequirements

_REQUIRED = re.compile(r"(?:you require|and your project depends on)\s+((?:[^.,]|[.,](?=\S))*)")
_NAME = re.compile(r"(?<![A-Za-z0-9._/-])([A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)*)")
_FAILED = re.compile(
    r"Failed to (?:build|download|fetch|read|extract|prepare|install|unpack)[^`\n]*"
    r"`([A-Za-z0-9][A-Za-z0-9._-]*?)(?:==|@| @|`)"
)


def named(output: str) -> FrozenSet[str]:
    """All that could be a package's name in what uv says: to be matched with names that are known."""
    return frozenset(canonical(word) for word in _NAME.findall(_error_of(output)))


def required(output: str) -> FrozenSet[str]:
    """The packages that uv says were asked for directly."""
    text = " ".join(_error_of(output).split())
    return frozenset(canonical(word) for part in _REQUIRED.findall(text) for word in _NAME.findall(part))


def _bounded(output: str) -> FrozenSet[str]:
    """The packages that uv says were asked for directly with bounds."""
    text = " ".join(_error_of(output).split())
    return frozenset(
        canonical(name)
        for part in _REQUIRED.findall(text)
        for name in re.findall(r"([A-Za-z0-9][A-Za-z0-9._-]*?)(?=[<>=!~@])", part)
    )


def failed_package(output: str) -> Optional[str]:
    """The package that could not be fetched, built or installed."""
    found = _FAILED.findall(output)
    return canonical(found[-1]) if found else None


def suspects(items: Sequence[PackRequirements], output: str) -> List[PackRequirements]:
    """The packs that ask for what uv names in its explanation."""
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
    item: PackRequirements, finished: Finished, others: Sequence[PackRequirements], own: Sequence[str]
) -> Problem:
    """Why a pack's requirements could not be had, with the other party's name. `own`: what ComfyUI itself requires and
    what of the torch family is kept, as lines."""
    problem = reasons.of_packages(finished)
    if problem.code != "requirement_conflict":
        return problem
    found = find_conflicts(item, others, own, " ".join(_error_of(finished.output).split()))
    if not found:
        return problem
    hint = "It contradicts: %s. Leave one of them out, or ask its author to allow more versions." % "; ".join(found[:4])
    return Problem(problem.code, problem.message, shortened(hint))


def of_package(package: str, finished: Finished) -> Problem:
    """Why the packs that need this package fail: it could not be fetched or built."""
    problem = reasons.of_packages(finished)
    if re.search(r"\b%s\b" % re.escape(package), canonical(problem.message)):
        return problem
    return Problem(problem.code, "%s: %s" % (package, problem.message), problem.hint)


def _error_of(output: str) -> str:
    """From the last error on."""
    starts = [found.start() for found in re.finditer(r"^\s*(?:error:|×)", output, re.MULTILINE)]
    return output[starts[-1] :] if starts else output
