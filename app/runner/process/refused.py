"""A program that was not run, or was ended, for a reason of ours: a result like any other, with that reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from app.protocol.snapshot import Problem
from app.runner.process.children import Finished


@dataclass(frozen=True)
class Refused(Finished):
    """`problem` is always there."""

    problem: Optional[Problem] = None


def refused(problem: Problem) -> Refused:
    """The result that says so, in the words that the program would have printed."""
    return Refused(128, ("fatal: %s\n" % problem.message).encode("utf-8", "replace"), problem=problem)
