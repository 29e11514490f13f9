"""A pack's own constraints (`-c FILE`): bounds for the packages that it asks for, and for what these bring in.

In one environment a constraint of one pack must not bind the others, nor bring a package. So it narrows the lines of
this pack that name the package. The others count in a resolution of the pack's own.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

from app.runner.requirements.lines import as_constraint, name_of


def narrowed(lines: Sequence[str], constraints: Sequence[str]) -> Tuple[List[str], List[str]]:
    """The lines with what the constraints add, and the constraints that no line is about."""
    names = {name_of(line) for line in lines if not line.startswith("--")} - {""}
    used, unused = [], []
    for line in constraints:
        constraint = as_constraint(line)
        if constraint is not None and name_of(constraint) in names:
            used.append(constraint)
        elif not line.startswith("--"):
            unused.append(line)
    return list(dict.fromkeys([*lines, *used])), unused
