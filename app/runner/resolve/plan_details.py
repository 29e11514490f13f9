"""Who wants a plan's packages, through whatever asks for them, and how large they are: what uv can tell from its cache.

Its cache is warm, since the plan was just made: both answers take some 0.1 s, at the same time, and ask nobody. What
they do not say (an older uv, an index without sizes) stays unknown, and the plan is told without.
"""

from __future__ import annotations

import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set
from urllib.parse import unquote

from app.runner.process.children import Limits
from app.runner.requirements.lines import canonical, name_of
from app.runner.resolve.plan import Change, Details, Plan, own_of, write_lines
from app.runner.resolve.uv import Uv
from app.runner.resolve.wheel_sources import WheelSources

_log = logging.getLogger("runner")
LIMITS = Limits(idle=2.0, total=2.0)
"""No install waits longer for words about it."""
_LOCK_NAME = "pylock.toml"  # what uv writes is named so: PEP 751
_FILE = re.compile(r"\{[^{}\n]*?\b(?:url|path) = \"([^\"\n]+)\"[^{}\n]*?\bsize = (\d+)")
_NAMED_FILE = re.compile(r"\bname = \"([^\"\n]+\.(?:whl|zip|tar\.gz))\"")
_SELECTED = re.compile(r"Selecting: ([A-Za-z0-9._-]+)==\S+ \[[^\]]*\] \((\S+)\)")
_VIA = "    # via"
_NAME = re.compile(r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")


def details_of(plan: Plan, uv: Uv, folder: Path, unseen: Iterable[str], variants: Path) -> Details:
    """What can be told of a plan. `folder` is for its files; `unseen`: overrides that take out of a resolution what is
    installed and stays; `variants`: a file of more overrides. Raises RunCancelled."""
    pinned = _pinned(plan)
    if not pinned:
        return Details(_all_for_one(plan))
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        pins, overrides = folder / "pins.txt", folder / "overrides.txt"
        write_lines(pins, [change.pinned for change in pinned])
        write_lines(overrides, sorted(set(unseen)))
        with ThreadPoolExecutor(1) as pool:
            weighing = pool.submit(weigh, plan, uv, folder)
            wanted_by = _all_for_one(plan) or _wanted_by(plan, uv, pins, [overrides, variants])
            weighed = weighing.result()
            return Details(wanted_by, weighed.sizes, weighed.built, weighed.wheels, _sources_of(plan))
    except OSError as exc:  # a full disk: whoever installs next meets it too, and tells
        _log.warning("a plan is told without its details: %s", exc)
        return Details(_all_for_one(plan))


def _pinned(plan: Plan) -> List[Change]:
    return [change for change in plan.changes if change.new is not None and not change.source]


def stays(installed: Iterable[str], changes: Sequence[Change]) -> List[str]:
    """Overrides for the installed packages (canonical names) that a plan leaves as they are: uv would look for them.
    What an interrupted pip left (`-orch`) is no name."""
    changed = {canonical(change.package) for change in changes}
    names = [name for name in installed if name not in changed and _NAME.match(name)]
    return ["%s ; sys_platform == 'never'" % name for name in names]


# -- who wants it ----------------------------------------------------------------------------------------------------


def _all_for_one(plan: Plan) -> Dict[str, Set[str]]:
    """A pack alone wants all that changes."""
    if len(plan.items) != 1:
        return {}
    return {canonical(change.package): {plan.items[0].name} for change in plan.changes}


def _wanted_by(plan: Plan, uv: Uv, pins: Path, overrides: Sequence[Path]) -> Dict[str, Set[str]]:
    files = [item.file for item in plan.items]
    arguments = ["--annotation-style", "split", "--constraint", str(pins)]
    arguments += [part for path in overrides for part in ("--override", str(path))]
    finished = uv.compile(files, arguments, LIMITS)
    if not finished.ok:
        _log.info("uv does not say who wants what: %s", finished.last_lines())
        return {}
    return owners(parents(finished.output), {item.file.name: item.name for item in plan.items})


def parents(output: str) -> Dict[str, List[str]]:
    """Who asks for each package (canonical name), in the words of `uv pip compile`: packages, and `-r FILE`."""
    found: Dict[str, List[str]] = {}
    package = ""
    for line in output.splitlines():
        if line.startswith(_VIA) and package:
            found[package].append(line[len(_VIA) :].strip())
        elif line.startswith("    #") and package:
            found[package].append(line.strip("# "))
        elif line and not line.startswith((" ", "#", "-")):
            package = canonical(name_of(line))
            found[package] = []
    return found


def owners(asked_by: Mapping[str, Sequence[str]], packs: Mapping[str, str]) -> Dict[str, Set[str]]:
    """The packs behind each package, through all that is between. `packs`: their names by their files' names."""
    asks: Dict[str, List[str]] = {}
    for package, words in asked_by.items():
        for word in words:
            asks.setdefault(word if word.startswith("-") else canonical(word), []).append(package)
    found: Dict[str, Set[str]] = {}
    for word in [word for word in asks if word.startswith("-r ")]:
        name = packs.get(os.path.basename(word[3:]))
        waiting = list(asks[word])
        seen: Set[str] = set()
        while name and waiting:
            package = waiting.pop()
            if package not in seen:
                seen.add(package)
                found.setdefault(package, set()).add(name)
                waiting += asks.get(package, [])
    return found


# -- how large it is -------------------------------------------------------------------------------------------------


class Weighed(NamedTuple):
    """What uv says of the files that it takes, by the packages' canonical names: bytes, where the index says them;
    which it has to build, None where it does not say so; and which are offered besides the registry's."""

    sizes: Mapping[str, int]
    built: Optional[FrozenSet[str]]
    wheels: Mapping[str, str]


def weigh(plan: Plan, uv: Uv, folder: Path) -> Weighed:
    """Asks uv for the files of a plan. `folder`: for its files. Raises RunCancelled, OSError."""
    pinned = _pinned(plan)
    lock, lines = folder / _LOCK_NAME, folder / "sizes.txt"
    options = [line for item in plan.items for line in item.options]
    write_lines(lines, [*dict.fromkeys(options), *(change.pinned for change in pinned)])
    lock.unlink(missing_ok=True)  # or uv would hold on to what it names
    arguments = ["--no-deps", "--format", _LOCK_NAME, "--output-file", str(lock)]
    finished = uv.compile([lines], arguments, LIMITS, environ={"RUST_LOG": "uv=debug"})
    if not finished.ok:
        _log.info("uv does not say how large packages are: %s", finished.last_lines(1))
        sizes: Dict[str, int] = {}  # an index without hashes: uv has selected all the same
    else:
        sizes = sizes_of(lock.read_text("utf-8", "replace"), finished.output)
    built, wheels = built_of(pinned, finished.output), offered_of(finished.output, uv.wheels)
    return Weighed(sizes, built, wheels)


def built_of(pinned: Sequence[Change], log: str) -> Optional[FrozenSet[str]]:
    """The packages for which uv selects a source distribution; None when it does not say it of each."""
    selected = {canonical(name): file for name, file in _SELECTED.findall(log)}
    if not {canonical(change.package) for change in pinned} <= set(selected):
        return None
    return frozenset(name for name, file in selected.items() if not file.endswith(".whl"))


def offered_of(log: str, wheels: Optional[WheelSources]) -> Dict[str, str]:
    """Where the files are from that uv selects and that the registry does not have."""
    if wheels is None:
        return {}
    origins = wheels.origins()
    return {canonical(name): origins[file] for name, file in _SELECTED.findall(log) if file in origins}


def _sources_of(plan: Plan) -> Dict[str, str]:
    """The places of a pack's own that packages come from."""
    own = own_of(plan.items)
    names = {canonical(change.package): change.new or "" for change in _pinned(plan)} if own else {}
    found = {name: own.origin(name, version) for name, version in names.items()} if own else {}
    return {name: place for name, place in found.items() if place}


def sizes_of(lock: str, log: str) -> Dict[str, int]:
    """The sizes in uv's lock (PEP 751). A package with several files counts by the one that uv says it selects; where
    it does not say, its size is not known."""
    known: Dict[str, Dict[str, int]] = {}
    for part in lock.split("[[packages]]")[1:]:
        named = re.search(r"^name = \"([^\"]+)\"", part, re.MULTILINE)
        files = {_file_name(found.group(0), found.group(1)): int(found.group(2)) for found in _FILE.finditer(part)}
        if named and files:
            known[canonical(named.group(1))] = files
    selected = {canonical(name): file for name, file in _SELECTED.findall(log)}
    found = {}
    for name, files in known.items():
        size = files.get(selected.get(name, ""), 0) or (next(iter(files.values())) if len(files) == 1 else 0)
        if size:
            found[name] = size
    return found


def _file_name(entry: str, address: str) -> str:
    named = _NAMED_FILE.search(entry)
    return named.group(1) if named else unquote(address.rsplit("/", 1)[-1])
