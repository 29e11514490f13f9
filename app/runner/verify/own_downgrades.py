"""A pack that fails by a package that this very run has brought down: for whom that was, and what going back does."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import FrozenSet

from app.protocol.snapshot import Problem
from app.runner.context import Context

_OF_VERSIONS: FrozenSet[str] = frozenset({"numpy_2", "version_skew", "module_missing", "import_failed", "abi_mismatch"})
_MOST = 3
_NOTE = " This run has brought %s down from %s to %s, for %s."
_HINT = "Rolling this task back brings %s %s again: then this pack may load, and %s may not."


def named(context: Context, problem: Problem, text: str) -> Problem:
    """With the downgrade that may be the cause: of a package that what was printed (`text`) names."""
    if problem.code not in _OF_VERSIONS:
        return problem
    snapshot = context.journal.snapshot
    for change in snapshot.plan or ():
        if (
            not change.downgrade
            or not change.old
            or not change.new
            or context.changed.get(change.package) != change.new
        ):
            continue
        name = re.escape(change.package).replace(r"\-", "[-_.]")
        if re.search(r"(?i)(?<![\w-])%s(?![\w-])" % name, text):
            packs = [each for each in change.wanted_by if each in snapshot.nodes]
            for_whom = ", ".join(packs[:_MOST]) or "other packages"
            note = _NOTE % (change.package, change.old, change.new, for_whom)
            return replace(problem, message=problem.message + note, hint=_HINT % (change.package, change.old, for_whom))
    return problem
