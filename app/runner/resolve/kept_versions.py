"""A downgrade of an installed package that only a pack's upper bound asks for is first tried without.

Such bounds are often as old as the pack, and it loads with newer versions all the same. So the installed version stays,
the import decides, and where the pack does not load, the second round looks whether the older version helps without
costing another pack. Without an import check, or without a second round, bounds are obeyed.
"""

from __future__ import annotations

from typing import List, Mapping, Tuple

from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.requirements.lines import name_of
from app.runner.requirements.upper_bounds import without_upper_bound
from app.runner.resolve.protection import Requirements

_MOST_LINES = 5


def keep_installed(context: Context, result: PackResult, read: Requirements) -> None:
    """Takes those bounds out of the pack's lines; what it would have liked is its problem, unless it has another."""
    if not _is_tried(context, result):
        return
    read.lines, wanted = kept(read.lines, context.packages)
    if wanted and read.unmet is None:
        stays = sorted({"%s %s" % (name_of(line), context.packages[name_of(line)]) for line in wanted})
        text = "The pack wants an older version than the installed one (%s); %s was not replaced, for others' sake."
        hint = "Nothing has to be done if it loads. If it does not, the second round looks whether the older one helps."
        words = ", ".join(line[:100] for line in wanted[:_MOST_LINES]), ", ".join(stays[:_MOST_LINES])
        read.unmet = Problem("older_version_wanted", text % words, hint)


def kept(lines: List[str], packages: Mapping[str, str]) -> Tuple[List[str], List[str]]:
    """The lines with what is installed kept, and those that wanted something older. `packages`: canonical names and
    versions."""
    relaxed = [(line, without_upper_bound(line, packages)) for line in lines]
    return [new or line for line, new in relaxed], [line for line, new in relaxed if new is not None]


def _is_tried(context: Context, result: PackResult) -> bool:
    return context.options.repair != "off" and import_decides(context, result)


def import_decides(context: Context, result: PackResult) -> bool:
    """Whether ComfyUI will say whether the pack loads: nobody says it of a pack in another one's folder. A lock says
    itself what is to be there."""
    lock = (context.request.get("manifest") or {}).get("lock")
    is_locked = isinstance(lock, dict) and lock.get("repairs") is not True
    return context.verifies and not is_locked and "/" not in result.pack.folder
