"""What is to be installed: the packs' requirements as the resolver gets them, and its answer as a list of changes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import AbstractSet, Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from app.protocol.snapshot import PlannedChange, Problem
from app.runner.context import PackResult
from app.runner.process.private_files import private
from app.runner.requirements.file_options import FileOptions
from app.runner.requirements.left_out import LeftOut, LeftOutLines
from app.runner.requirements.lines import bounds_of, canonical, name_of
from app.runner.requirements.versions import is_older, satisfies
from app.runner.resolve.own_sources import OwnSources
from app.runner.resolve.unbuilt import NeededBuild, kind_of, plan_incomplete, told_address

AGREES, WANTS_CHANGE, LONG_BUILD = "agrees", "wants_change", "long_build"
_CHANGE = re.compile(r"^ ([-+~]) ([A-Za-z0-9._-]+)(?:==| @ )(\S+)(?: \(from (\S+)\))?", re.MULTILINE)


@dataclass
class PackRequirements:
    """A pack whose requirements are to be installed. `problem`: what is already known to be wrong with them; `own`: the
    places and rules that its own file names, for a resolution of its own."""

    result: PackResult
    file: Path
    lines: List[str]
    problem: Optional[Problem] = None
    left_out: LeftOutLines = field(default_factory=LeftOutLines)
    """Its lines that cannot be had."""
    hashes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of the files that may be installed, by packages' canonical names, where its lines have some."""
    asks: FileOptions = field(default_factory=FileOptions)
    own: Optional[OwnSources] = None
    unbuilt: List[NeededBuild] = field(default_factory=list)
    """What would have to be built to plan it, and is left out of its plan."""

    @property
    def name(self) -> str:
        """The pack's name."""
        return self.result.pack.name

    @property
    def names(self) -> FrozenSet[str]:
        """The packages that its own lines name."""
        return frozenset(name_of(line) for line in self.lines) - {""}

    @property
    def options(self) -> List[str]:
        """The lines of a requirements file that say how its own packages are chosen."""
        return list(self.own.lines) if self.own else []

    def lines_about(self, names: FrozenSet[str]) -> List[str]:
        """Its lines that name one of these packages."""
        return [line for line in self.lines if name_of(line) in names]

    def mismatches(self, packages: Mapping[str, str]) -> FrozenSet[str]:
        """The installed packages (canonical name: version) that are out of its lines' bounds, as they stand there."""
        bounds = [(name_of(line), bounds_of(line)) for line in self.lines if not line.startswith("-")]
        return frozenset(
            name
            for name, wanted in bounds
            if wanted and name in packages and satisfies(packages[name], wanted) is False
        )

    @property
    def is_empty(self) -> bool:
        """Whether no line asks for a package."""
        return all(line.startswith("--") for line in self.lines)

    @property
    def known_problem(self) -> Optional[Problem]:
        """What is wrong even when all its lines are installed."""
        return self.problem or self.left_out_problem or (plan_incomplete(self.unbuilt) if self.unbuilt else None)

    @property
    def left_out_problem(self) -> Optional[Problem]:
        """What it misses of its lines that cannot be had, if anything."""
        return self.left_out.problem(has_others=not self.is_empty)

    def leave_out(self, left_out: LeftOut) -> None:
        """Goes on without that line. Raises OSError."""
        here = str(self.result.folder) + os.sep
        self.left_out.add(
            replace(
                left_out, line=left_out.line.replace(here, ""), why=left_out.why.replace(here, "")
            )  # as the pack has it
        )
        self.lines = [line for line in self.lines if line != left_out.line]
        self.write()

    def write(self) -> None:
        """Its lines into its file."""
        self.file.parent.mkdir(exist_ok=True, mode=0o700)
        write_lines(self.file, self.lines)


@dataclass(frozen=True)
class Change:
    """One package of a plan. `source`: its address, where it comes from one."""

    package: str
    old: Optional[str]
    new: Optional[str]
    source: Optional[str] = None

    @property
    def pinned(self) -> str:
        """The line that asks for exactly this."""
        return "%s @ %s" % (self.package, self.source) if self.source else "%s==%s" % (self.package, self.new)


@dataclass(frozen=True)
class Details:
    """What is known of a plan's packages beside their versions, by canonical name. What is not in it is not known."""

    wanted_by: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    """The packs that a package is for, through whatever asks for it."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the file that is installed, whether it has to be fetched or is in uv's cache."""
    built: Optional[AbstractSet[str]] = None
    """The packages that have to be built, since they have no wheel; None where that is not known."""
    wheels: Mapping[str, str] = field(default_factory=dict)
    """Where a wheel is from that is not the registry's (`WheelSources.origins`)."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """The place from which a package comes that is not the registry, as people are told it."""


@dataclass
class Plan:
    """The changes that a set of packs needs."""

    stage: str
    items: List[PackRequirements]
    changes: List[Change] = field(default_factory=list)
    details: Optional[Details] = None
    """Where it was asked for already."""

    @property
    def pins(self) -> List[str]:
        """The lines that ask for exactly its packages."""
        return [change.pinned for change in self.changes if change.new is not None]

    def hashed(self, pins: Sequence[str]) -> List[str]:
        """Lines of `pins` with the hashes that its packs' lines have for these packages."""
        found = []
        for pin in pins:
            hashes = [each for item in self.items for each in item.hashes.get(name_of(pin), ())] if "==" in pin else []
            found.append(" ".join([pin, *("--hash=%s" % each for each in dict.fromkeys(hashes))]))
        return found

    def described(self, details: Details = Details()) -> Tuple[PlannedChange, ...]:
        """The changes as the journal's `plan` event tells them."""
        return tuple(
            [
                PlannedChange(
                    change.package,
                    change.old,
                    change.new,
                    change="add" if change.old is None else "remove" if change.new is None else "change",
                    downgrade=bool(change.old and change.new and is_older(change.new, change.old)),
                    wanted_by=self._wanting(canonical(change.package), details),
                    bytes=details.sizes.get(canonical(change.package)),
                    stage=self.stage,
                    wheel=details.wheels.get(canonical(change.package)),
                    source=details.sources.get(canonical(change.package)),
                    **self._build(change, details),
                )
                for change in self.changes
            ]
        )

    def _build(self, change: Change, details: Details) -> Dict[str, Any]:
        """What is built of it, and from where."""
        from_index = canonical(change.package) in (details.built or ())
        if change.new is None or not (from_index or (change.source and not is_wheel(change.source))):
            return {}
        lines = [line for item in self.items for line in item.lines]
        source = change.source
        for item in self.items if source else ():
            source = told_address(source or "", str(item.result.folder))
        return {"needs_build": True, "build": kind_of(change.source, lines), "build_from": source}

    def _wanting(self, package: str, details: Details) -> Tuple[str, ...]:
        behind = details.wanted_by.get(package, frozenset())
        return tuple([item.name for item in self.items if item.name in behind or package in item.names])


def own_of(items: Sequence[PackRequirements]) -> Optional[OwnSources]:
    """The places and rules of the only one of these packs that has any."""
    return next((item.own for item in items if item.own is not None), None)


def changes(output: str, installed: Mapping[str, str]) -> List[Change]:
    """The plan in uv's own lines (`+ name==new`, `- name==old`). `installed`: canonical names and versions, of which
    uv may not see all (what is still being installed too); what is there already is no change."""
    old: Dict[str, str] = {}
    new: Dict[str, str] = {}
    sources: Dict[str, str] = {}
    for sign, name, version, source in _CHANGE.findall(output):
        (old if sign == "-" else new)[name] = version
        address = source or (version if "/" in version else "")
        if sign != "-" and address:
            sources[name] = address
    found = []
    for name in sorted({*old, *new}):
        before, after = installed.get(canonical(name)) or old.get(name), new.get(name)
        if before != after or name in sources:
            found.append(Change(name, before, after, sources.get(name)))
    return found


def is_wheel(address: str) -> bool:
    """Whether an address is that of a wheel."""
    return address.partition("#")[0].partition("?")[0].endswith(".whl")


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Replaces a file's lines."""
    with open(str(path), "w", encoding="utf-8", opener=private) as file:  # a line may have a login
        file.write("".join(line + "\n" for line in lines))


def requirement_arguments(files: Sequence[Path]) -> List[str]:
    """`-r FILE` for each file that has lines; pip takes it too."""
    return [part for path in files if has_lines(path) for part in ("-r", str(path))]


def has_lines(path: Path) -> bool:
    """uv warns of an empty file."""
    return path.stat().st_size > 0
