"""What a plan would have to build: which package, from where, of what kind."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional, Sequence

from app.protocol.redaction import masked
from app.protocol.snapshot import PlannedChange, Problem
from app.runner.requirements.lines import canonical, name_of

PLAN_INCOMPLETE = "plan_incomplete"
SDIST, ARCHIVE, REPOSITORY, FOLDER, EDITABLE = "sdist", "archive", "repository", "folder", "editable"
_MOST_TOLD = 6
_NAMED = re.compile(r"Failed to (?:download and )?build:? `([A-Za-z0-9][A-Za-z0-9._-]*?)(?:==([^`\s]+)| @ ([^`\s]+))?`")


class NeededBuild(NamedTuple):
    """One package. `source`: its address, without login; None for the registry."""

    package: str
    kind: str
    source: Optional[str] = None


def needed_build(output: str) -> Optional[NeededBuild]:
    """The package that uv says it had to build; None where it does not name it."""
    found = _NAMED.findall(output)
    if not found:
        return None
    name, _version, address = found[-1]
    return NeededBuild(canonical(name), kind_of(address or None), masked(address) if address else None)


def is_address(line: str) -> bool:
    """Whether a line says where its package is."""
    return "://" in line or line.startswith(("-e", "/", "."))


def of_line(line: str, folder: str) -> NeededBuild:
    """What a line names by its address. `folder`: the pack's, which is not told."""
    is_editable = line.startswith("-e")
    address = (line[2:] if is_editable else line.partition(" @ ")[2] or line).partition(" ;")[0].strip()
    name = name_of(line) or address.rstrip("/").rpartition("/")[2]
    return NeededBuild(canonical(name), EDITABLE if is_editable else kind_of(address), told_address(address, folder))


def told_address(address: str, folder: str) -> str:
    """An address as people are told it: without login, and from the pack's folder on."""
    return masked(address.replace("file://" + folder, ".").replace(folder, "."))


def kind_of(address: Optional[str], lines: Sequence[str] = ()) -> str:
    """What is built at an address. `lines`: of the packs that want it, of which one may say that it is editable."""
    if not address:
        return SDIST
    if "git+" in address or re.match(r"(?:hg|svn|bzr)\+", address):
        return REPOSITORY
    if re.search(r"\.(?:zip|tar\.\w+|tgz|tar)(?:$|[#?])", address):
        return ARCHIVE
    path = address.partition("#")[0].replace("file://", "").rstrip("/")
    if any(line.startswith("-e") and line[2:].strip().replace("file://", "").rstrip("/") == path for line in lines):
        return EDITABLE
    return FOLDER


def plan_incomplete(needed: Sequence[NeededBuild]) -> Problem:
    """Why a pack's plan is not complete."""
    names = [each.package for each in needed]
    told = ", ".join(names[:_MOST_TOLD]) + (" and %d more" % (len(names) - _MOST_TOLD) if names[_MOST_TOLD:] else "")
    text = "Its plan is not complete: what %s requires can be known only by building it, and nothing was built."
    hint = "An install builds it. A plan does with build_for_plan, which runs the package's own code on the instance."
    return Problem(PLAN_INCOMPLETE, text % told, hint)


def no_plan() -> Problem:
    """Why a pack has no plan at all."""
    text = "There is no plan of its packages: no uv on the instance can plan without running packages' code."
    return Problem(PLAN_INCOMPLETE, text, "Install uv 0.9 or newer on the instance, or install without a plan.")


def told(needed: NeededBuild, packs: Sequence[str], stage: str, installed: Optional[str]) -> PlannedChange:
    """It as a plan tells it. `installed`: the version that is there."""
    return PlannedChange(
        needed.package,
        installed,
        change="change" if installed else "add",
        wanted_by=tuple(packs),
        stage=stage,
        needs_build=True,
        build=needed.kind,
        build_from=needed.source,
    )
