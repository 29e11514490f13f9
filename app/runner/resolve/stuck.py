"""Installed packages that cannot be replaced: who they are, and what is told of them."""

from __future__ import annotations

import re
from typing import Optional, Tuple

from app.protocol.snapshot import Problem
from app.runner.environment.transaction import Transaction
from app.runner.hints.signature import UNLISTED
from app.runner.requirements.lines import canonical
from app.runner.resolve.plan import Plan

CODE = "package_not_replaceable"
_UNINSTALL = re.compile(r"Unable to uninstall `([A-Za-z0-9][A-Za-z0-9._-]*?)==([^`\s]+)`")
_REMOVE = re.compile(
    r"failed to (?:remove|rename|move|open|create)[^`\n]*`([^`\n]+)`[^\n:]*(?::\s*([^\n(]+))?", re.IGNORECASE
)

_PLACE = re.compile(
    r"Failed to install `[^`\n]+`: (Operation not permitted|Permission denied|Read-only file system) \((/[^\n]+)\)"
)
"""What is said where uv cannot do it itself (`staged`)."""


def without_list(package: str, version: str, plan: Plan) -> Problem:
    """Of a package for which nothing lists its files: an old setup.py or the system's packager installed it, or its
    RECORD is gone."""
    return _problem(package, version, plan, "nothing lists its files, so no installer can remove it", UNLISTED)


def of_output(output: str, change: Transaction, plan: Plan) -> Optional[Tuple[str, Problem]]:
    """The package that uv says it cannot remove, while the change is not undone yet; None for another failure."""
    named = _UNINSTALL.search(output)
    if named:
        package = canonical(named.group(1))
        return package, without_list(package, named.group(2), plan)
    failed, placed = _REMOVE.search(output), _PLACE.search(output)
    path, why = placed.group(2, 1) if placed else failed.group(1, 2) if failed else ("", "")
    owner = change.owner_of(path)
    if owner is None:
        return None
    text = "%s cannot be removed (%s)" % (path, (why or "").strip() or "it is refused")
    hint = (
        "The file is read-only, mounted or protected in this image. Remove the protection (`lsattr` and `mount` show "
        "it), or use another image. Then retry."
    )
    return owner, _problem(owner, change.record.versions.get(owner, ""), plan, text, hint)


def _problem(package: str, version: str, plan: Plan, why: str, hint: str) -> Problem:
    change = next((each for each in plan.changes if canonical(each.package) == package), None)
    wanted = " %s is wanted." % change.new if change and change.new else ""
    text = "%s cannot be replaced: %s.%s It was left as it is." % (("%s %s" % (package, version)).strip(), why, wanted)
    return Problem(CODE, text, hint)
