"""Builds: the packages that an instance builds from source, as events change them and as progress shows them.

Everything about them that comes from an instance is bounded here: how many there are, and how long their texts are.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Tuple

from app.protocol.budgets import MAX_BUILD_PACK_CHARS
from app.protocol.snapshot import Build, Snapshot
from app.protocol.states import BuildState

MAX_BUILDS = 200
MAX_PACKS = 200
MAX_NAME_CHARS = 200
MAX_VERSION_CHARS = 100
MAX_DETAIL_CHARS = 200
NAMED_IN_MESSAGES = 3

LIVE = frozenset({BuildState.WAITING, BuildState.RUNNING})
"""The states in which a build can be skipped."""
_ORDER = (BuildState.RUNNING, BuildState.WAITING)


def package_key(name: str) -> str:
    """A package's name as builds are known by: canonical (PEP 503), in one printable line, at most `MAX_NAME_CHARS`."""
    return re.sub(r"[-_.]+", "-", printable(name, MAX_NAME_CHARS)).lower()


def printable(text: str, limit: int) -> str:
    """At most `limit` characters of a text from elsewhere, as one line that can do nothing to a terminal."""
    return "".join([letter if letter.isprintable() else "?" for letter in text[:limit]])


def bounded_packs(names: Tuple[str, ...]) -> Tuple[str, ...]:
    """The first `MAX_PACKS` names, each cut to `MAX_NAME_CHARS`."""
    return tuple([name[:MAX_NAME_CHARS] for name in names[:MAX_PACKS]])


def bounded(package: str, version: str, packs: Tuple[str, ...], detail: str) -> Dict[str, Any]:
    """What an instance says of a build, by the fields of its event, cut to what is kept of it."""
    return {
        "package": package_key(package),
        "version": printable(version, MAX_VERSION_CHARS),
        "packs": bounded_packs(packs),
        "detail": printable(detail, MAX_DETAIL_CHARS),
    }


def seconds_by_pack(snapshot: Snapshot) -> Dict[str, float]:
    """How long the builds took that each pack needs, by the pack's name; packs without any are left out."""
    found: Dict[str, float] = {}
    for build in snapshot.builds.values():
        for name in set(build.packs):
            found[name] = found.get(name, 0.0) + (build.seconds or 0.0)
    return found


def with_build(builds: Mapping[str, Build], new: Build, mono: float) -> Mapping[str, Build]:
    """`builds` after one of them became `new` at `mono`, a second of the runner's clock.

    A build may begin again in another version, so any state may follow any other. Where there are `MAX_BUILDS`, a new
    one takes the place of one that has ended; when none has, it is left out."""
    known = builds.get(new.package)
    others = sum(len(pack) for name, build in builds.items() if name != new.package for pack in build.packs)
    if others + sum(map(len, new.packs)) > MAX_BUILD_PACK_CHARS:
        new = replace(new, packs=())
    if known is None and len(builds) >= MAX_BUILDS:
        ended = next((name for name, build in builds.items() if build.state not in LIVE), None)
        if ended is None:
            return builds
        builds = {name: build for name, build in builds.items() if name != ended}
    since = known.since_mono if known and (known.state, known.version) == (new.state, new.version) else mono
    began = known.began_mono if known and known.version == new.version else None
    if new.state is BuildState.RUNNING and (began is None or (known and known.state not in LIVE)):
        began = mono
    asked = known is not None and known.skip_requested
    return {**builds, new.package: replace(new, began_mono=began, since_mono=since, skip_requested=asked)}


def with_skip_requested(builds: Mapping[str, Build], package: str) -> Mapping[str, Build]:
    """`builds` after the user asked to skip one of them; one that is not known changes nothing."""
    known = builds.get(package)
    return builds if known is None else {**builds, package: replace(known, skip_requested=True)}


def with_run_ended(snapshot: Snapshot) -> Mapping[str, Build]:
    """The builds after the run's end: how one that had not ended would have ended is unknown."""
    return {
        name: replace(build, state=BuildState.UNFINISHED, since_mono=snapshot.last_mono)
        if build.state in LIVE
        else build
        for name, build in snapshot.builds.items()
    }


def live(snapshot: Snapshot) -> List[str]:
    """The packages whose build waits or runs; none after the task's end."""
    return [name for name, build in snapshot.builds.items() if build.state in LIVE]


def rows(snapshot: Snapshot, now: float) -> List[Dict[str, Any]]:
    """The builds as progress shows them, running ones first; `now`: Unix seconds of the snapshot's clock."""
    found = sorted(
        snapshot.builds.values(), key=lambda build: _ORDER.index(build.state) if build.state in _ORDER else 9
    )
    return [row(snapshot, build, now) for build in found]


def row(snapshot: Snapshot, build: Build, now: float) -> Dict[str, Any]:
    """One build. `seconds`: how long it has taken so far, or took; `since`: when it came into its state, in seconds
    after the run began. Both are None where that is not known."""
    since = None
    if build.since_mono is not None and snapshot.began_mono is not None:
        since = round(build.since_mono - snapshot.began_mono, 2)
    return {
        "package": build.package,
        "version": build.version,
        "state": build.state.value,
        "packs": list(build.packs),
        "detail": build.detail or None,
        "seconds": _seconds(snapshot, build, now),
        "since": since,
        "skip_requested": build.skip_requested,
    }


def _seconds(snapshot: Snapshot, build: Build, now: float) -> Optional[float]:
    if build.state is BuildState.RUNNING and build.began_mono is not None and snapshot.last_mono is not None:
        passed = 0.0 if snapshot.last_at is None else max(0.0, now - snapshot.last_at)
        return round(max(0.0, snapshot.last_mono - build.began_mono) + passed, 1)
    if build.seconds is not None or build.state is BuildState.WAITING:
        return build.seconds
    if build.began_mono is None or build.since_mono is None:
        return None
    return round(max(0.0, build.since_mono - build.began_mono), 1)


def in_words(snapshot: Snapshot) -> str:
    """What is being built, for a message: `building a, b`; empty where nothing is."""
    names = [build.package for build in snapshot.builds.values() if build.state is BuildState.RUNNING]
    if not names:
        return ""
    more = len(names) - NAMED_IN_MESSAGES
    return "building %s" % ", ".join(names[:NAMED_IN_MESSAGES]) + (" and %d more" % more if more > 0 else "")
