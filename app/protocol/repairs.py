"""The second round of a run: what was looked for so that more packs load, what was found, and the lock that brings it.

What an instance says of one is cut here, on both sides: names, versions, and how many of each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Tuple

from app.protocol.budgets import MAX_REPAIR_CHARS
from app.protocol.states import Word

MAX_ROWS = 200
_NAME_CHARS, _TEXT_CHARS = 200, 300
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


class RepairState(Word):
    """How the search stands. `unfinished`: the run ended before it did; the reducer says so, and no event does."""

    SEARCHING = "searching"
    FOUND = "found"
    APPLIED = "applied"
    NOTHING = "nothing"
    UNFINISHED = "unfinished"


@dataclass(frozen=True)
class PackageMove:
    """A package at another version. `old`: None where it is not installed."""

    package: str
    old: Optional[str]
    new: str

    def to_json(self) -> Dict[str, Any]:
        """As the API and the journal show it."""
        return dict(vars(self))


@dataclass(frozen=True)
class PackMove:
    """A node pack at another commit (40 hex digits)."""

    name: str
    old: Optional[str]
    new: str

    def to_json(self) -> Dict[str, Any]:
        """As the API and the journal show it."""
        return dict(vars(self))


@dataclass(frozen=True)
class PackTried:
    """A pack that no try helped: what was tried, in words."""

    name: str
    tried: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """As the API and the journal show it."""
        return {"name": self.name, "tried": list(self.tried)}


@dataclass(frozen=True)
class Repair:
    """What the second round found. `loads`: the packs that would load, and do not; `starts`: how often ComfyUI was
    started for it; `seconds`: how long it took; `disk_bytes`: what the copy of the environment took meanwhile;
    `ended`: why it ended before everything was tried, empty where nothing was left."""

    state: RepairState
    packages: Tuple[PackageMove, ...] = ()
    packs: Tuple[PackMove, ...] = ()
    loads: Tuple[str, ...] = ()
    not_helped: Tuple[PackTried, ...] = ()
    starts: int = 0
    seconds: float = 0.0
    disk_bytes: int = 0
    ended: str = ""

    def to_json(self) -> Dict[str, Any]:
        """As the API shows it."""
        rows = {name: [row.to_json() for row in getattr(self, name)] for name in ("packages", "packs", "not_helped")}
        return {**vars(self), **rows, "state": self.state.value, "loads": list(self.loads)}


def bounded(repair: Repair) -> Repair:
    """The same, cut to what an API may show of what an instance says. Rows that cannot be meant are left out."""
    packages = [
        PackageMove(_cut(move.package, _NAME_CHARS), _cut_or_none(move.old), _cut(move.new, _NAME_CHARS))
        for move in repair.packages[:MAX_ROWS]
        if move.package and move.new
    ]
    packs = [
        PackMove(_cut(move.name, _NAME_CHARS), _cut_or_none(move.old), move.new)
        for move in repair.packs[:MAX_ROWS]
        if _COMMIT.match(move.new)
    ]
    not_helped = [
        PackTried(_cut(row.name, _NAME_CHARS), tuple(_cut(text, _TEXT_CHARS) for text in row.tried[:MAX_ROWS]))
        for row in repair.not_helped[:MAX_ROWS]
    ]
    while sum(len(text) for row in not_helped for text in row.tried) > MAX_REPAIR_CHARS:
        most = max(len(row.tried) for row in not_helped) // 2
        not_helped = [PackTried(row.name, row.tried[:most]) for row in not_helped]
    return replace(
        repair,
        packages=tuple(packages),
        packs=tuple(packs),
        not_helped=tuple(not_helped),
        loads=tuple(_cut(name, _NAME_CHARS) for name in repair.loads[:MAX_ROWS]),
        ended=_cut(repair.ended, _TEXT_CHARS),
    )


def lock_of(repair: Repair, nodes: Mapping[str, Any]) -> Dict[str, Any]:
    """The lock that brings a repair about: its packages, and the packs that it is for, each at the commit that it would
    have. `nodes`: the packs of its run by name, as the snapshot has them."""
    commits = {move.name: move.new for move in repair.packs}
    packs: List[Dict[str, Any]] = []
    for name in dict.fromkeys([*repair.loads, *commits]):
        node = nodes.get(name)
        commit = commits.get(name) or (node.commit if node else None)
        if node is not None and commit:
            packs.append(
                {
                    "name": name,
                    "repo_url": node.repo_url,
                    "commit": commit,
                    "folder": node.folder,
                    "requirements_file": node.requirements_file,
                }
            )
    packages = {move.package: move.new for move in repair.packages}
    return {"format": 1, "repairs": True, "node_packs": packs, "packages": packages}


def in_words(repair: Mapping[str, Any]) -> List[str]:
    """What a repair, as the API shows it, comes to, a line each: for people."""
    moves = ["%s %s" % (move["package"], move["new"]) for move in repair.get("packages") or ()]
    moves += ["%s at commit %s" % (move["name"], str(move["new"])[:10]) for move in repair.get("packs") or ()]
    loads, state = ", ".join(map(str, repair.get("loads") or ())), repair.get("state")
    lines = []
    if state == RepairState.FOUND.value:
        lines.append("With %s these would load, and none would be lost: %s" % (", ".join(moves), loads))
    elif state == RepairState.APPLIED.value:
        lines.append("With %s these load now: %s" % (", ".join(moves), loads))
    for row in repair.get("not_helped") or ():
        lines += ["%s was tried with %s" % (row["name"], text) for text in row["tried"]]
    if repair.get("ended"):
        lines.append("Not all was tried: %s" % repair["ended"])
    return lines


def _cut(text: str, most: int) -> str:
    """A line of text as it may be shown."""
    return "".join(char if char.isprintable() else " " for char in text[:most])


def _cut_or_none(text: Optional[str]) -> Optional[str]:
    return None if text is None else _cut(text, _NAME_CHARS)
