"""A lock beside what there is: what differs, what cannot be had here, and what is there besides."""

from __future__ import annotations

import os
from typing import List, Mapping, Sequence

from app.protocol.lockfile import Lock
from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.lock.differences import NOT_OURS
from app.runner.lock.refusals import decide
from app.runner.lock.this_machine import mismatches_here, of_machine
from app.runner.requirements.lines import canonical

MOST_NAMED = 20
_NO_PACKS = frozenset({"__pycache__", "example_node.py.example", "websocket_image_save.py"})
_EXTRA_HINT = "Remove what you do not want, or install the lock into a fresh ComfyUI."


def cannot_be(context: Context, lock: Lock) -> List[str]:
    """What cannot be here as the lock has it, a sentence each; looked at before anything is changed."""
    found = mismatches_here(context, lock)
    found += left_out(lock)
    names_packages = lock.packages or lock.sources or lock.only_there
    if names_packages and (context.python_problem or not context.environment):
        problem = context.python_problem
        found.append(
            "Packages cannot be installed: %s" % (problem.message if problem else "ComfyUI's Python was not found")
        )
    elif names_packages:
        found += sorted(decide(context, lock).refused.values())
    return found


def left_out(lock: Lock) -> List[str]:
    """What the lock's source names and the lock does not have, a sentence each."""
    return ["%s was left out: %s" % (entry["name"], entry["reason"]) for entry in lock.left_out]


def remarks(context: Context, lock: Lock) -> List[Problem]:
    """What is not as where the lock was made, and is left as it is, with `exact` too."""
    found = of_machine(context, lock)
    found += [Problem("snapshot_remark", text) for text in lock.remarks[:MOST_NAMED]]
    if lock.repairs:
        return found
    packs = extra_packs(context, lock)
    if packs:
        text = "These node packs are not in the lock, and were left untouched: %s." % some(packs, ", ")
        found.append(Problem("not_in_lock", text, _EXTRA_HINT))
    in_the_way = decide(context, lock).in_the_way
    if in_the_way:
        text = "These packages make room for the lock's, which have the same files: %s." % some(in_the_way, ", ")
        found.append(Problem("not_in_lock", text, "A rollback of this task brings them back."))
    packages = [name for name in extra_packages(context.packages, lock) if name not in in_the_way]
    if packages:
        text = "These packages are not in the lock, and were left untouched: %s." % some(packages, ", ")
        found.append(Problem("not_in_lock", text, _EXTRA_HINT))
    return found


def extra_packs(context: Context, lock: Lock) -> List[str]:
    """What ComfyUI loads from custom_nodes and the lock does not name."""
    known = {pack.folder.split("/")[0].lower() for pack in lock.packs}
    return sorted(
        name
        for name in os.listdir(str(context.custom_nodes))
        if name.lower() not in known
        and name not in _NO_PACKS
        and not name.startswith(".")
        and not name.endswith(".disabled")
        and ((context.custom_nodes / name).is_dir() or name.endswith(".py"))
    )


def extra_packages(packages: Mapping[str, str], lock: Lock) -> List[str]:
    """The installed packages that the lock does not name; a lock that names none says nothing of packages."""
    known = {canonical(name) for name in [*lock.packages, *(lock.sources or ()), *(e.name for e in lock.only_there)]}
    return sorted(
        name for name in packages if known and canonical(name) not in known | NOT_OURS | {"setuptools", "wheel"}
    )


def some(texts: Sequence[str], between: str = "; ") -> str:
    """The first of the texts, and how many more there are."""
    more = "%sand %d more" % (between, len(texts) - MOST_NAMED) if len(texts) > MOST_NAMED else ""
    return between.join(text.rstrip(".") for text in texts[:MOST_NAMED]) + more
