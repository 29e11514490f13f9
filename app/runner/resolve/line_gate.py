"""Lines of packs' requirements that are not installed whatever else is: what is known to be malicious, and what the
policies refuse of direct addresses, indexes and builds. What is to be asked is asked once, when all packs are there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, List, Optional, Sequence
from urllib.parse import unquote, urlsplit

from app.protocol.known_bad import KnownBad
from app.protocol.left_out import readable
from app.runner.context import Context
from app.runner.policies.known_bad import known_bads, of_file
from app.runner.policies.run_policies import Item, RunPolicies
from app.runner.requirements.file_options import FileOptions, Place
from app.runner.requirements.left_out import LeftOut
from app.runner.requirements.lines import asked_by, bounds_of, name_of
from app.runner.resolve.plan import PackRequirements

_ADDRESS = re.compile(r"(?:^|[@\s])\s*((?:[a-z][a-z0-9]*\+)?(?:https?|ssh|git|ftp)://\S+)", re.IGNORECASE)
_PLACE = re.compile(r"(?:^|@\s*|^-e\s+)(?:(?:git\+)?file://|/)(\S*)")
_PIN = re.compile(r"^\s*===?\s*([^,*\s]+)\s*$")
_ALLOW = "Read the line. To allow it, start again with another policy, or install it yourself on the instance."


@dataclass(frozen=True)
class _Kind:
    """A kind of lines. `code` and `why`: of one that is refused."""

    name: str
    code: str
    why: str


_KINDS = (
    _Kind(name="direct_urls", code="direct_url_refused", why="it leads past the package index, and %s"),
    _Kind(name="builds", code="build_refused", why="it has to be built here, which runs its code, and %s"),
)
_INDEX = _Kind(name="indexes", code="index_refused", why="it is a place of the pack's own for packages, and %s")


class LineGate:
    """One run's, for the planning thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._policies = RunPolicies.of(context)
        self._waiting: List[PackRequirements] = []

    @property
    def are_waiting(self) -> bool:
        """Whether packs wait until all are there and a person was asked."""
        return bool(self._waiting)

    def passed(self, items: Sequence[PackRequirements], *, all_came: bool) -> List[PackRequirements]:
        """Of these packs those that go on, without the lines that are refused; when all are there, also those that were
        kept back. Raises RunCancelled, OSError."""
        ready: List[PackRequirements] = []
        for item in items:
            self._without_known_bad(item)
            (self._waiting if self._is_asked(item) else ready).append(item)
        if all_came:
            waiting, self._waiting = self._waiting, []
            ready += waiting
            self._decide(waiting)
        for item in ready:
            self._without_refused(item)
        return ready

    def may_be_looked_up(self, item: PackRequirements) -> bool:
        """Whether its packages may be asked for before anything is decided."""
        policies = self._policies
        undecided = any(not policies.allows(kind.name) and lines_of(kind.name, item.lines) for kind in _KINDS)
        return not undecided and not any(self._known_bad(line, item) for line in item.lines)

    # -- policies ------------------------------------------------------------------------------------------------------

    def _is_asked(self, item: PackRequirements) -> bool:
        if self._context.options.plan_only:
            return False
        policies = self._policies
        return (policies.asks(_INDEX.name) and _has_places(item.asks)) or any(
            policies.asks(kind.name) and lines_of(kind.name, item.lines) for kind in _KINDS
        )

    def _decide(self, items: Sequence[PackRequirements]) -> None:
        """Asks about the packs of each kind, at once; what is not allowed goes."""
        for kind in (*_KINDS, _INDEX):
            named: Dict[str, List[str]] = {}
            for item in items if self._policies.asks(kind.name) else ():
                lines = _places_of(item.asks) if kind is _INDEX else lines_of(kind.name, item.lines)
                if lines:
                    named[item.name] = [readable_line(line) for line in lines]
            allowed = self._policies.allowed(kind.name, [Item.of_lines(*each) for each in named.items()])
            for item in items:
                if item.name in named and item.name not in allowed:
                    self._refuse(kind, item)

    def _without_refused(self, item: PackRequirements) -> None:
        for kind in (*_KINDS, _INDEX):
            if self._policies.refuses(kind.name):
                self._refuse(kind, item)

    def _refuse(self, kind: _Kind, item: PackRequirements) -> None:
        why = kind.why % self._policies.why(kind.name)
        lines = _places_of(item.asks) if kind is _INDEX else lines_of(kind.name, item.lines)
        for line in lines:
            _leave_out(item, line, LeftOut(readable_line(line), kind.code, why, _ALLOW))
        if kind.name == "builds":
            item.asks.no_binary.clear()  # it would be built although there is a wheel
        if kind is _INDEX:
            item.asks.locations.clear()
            item.asks.trusted.clear()

    # -- what is known to be malicious ---------------------------------------------------------------------------------

    def _without_known_bad(self, item: PackRequirements) -> None:
        for line in list(item.lines):
            found = self._known_bad(line, item)
            if found is not None:
                _leave_out(item, line, LeftOut(readable_line(line), "known_bad", found.why, found.hint))
        known = known_bads(self._context)
        for place in [place for place in item.asks.locations if place.is_remote]:
            found = known.of_address(place.address)
            if found is not None:
                item.asks.locations.remove(place)
                item.left_out.add(LeftOut(readable_line(_in_words(place)), "known_bad", found.why, found.hint))

    def _known_bad(self, line: str, item: PackRequirements) -> Optional[KnownBad]:
        known, name = known_bads(self._context), name_of(line)
        address, file = address_in(line), file_in(line)
        hashes = [each.partition(":")[2] for each in item.hashes.get(name, ())]
        candidates = [known.of_package(name, version) for version in _versions(line, name)]
        candidates += [known.of_hash(each) for each in hashes if len(hashes) == 1]
        candidates.append(known.of_address(address) if address else None)
        candidates.append(of_file(self._context, file) if file is not None and file.is_file() else None)
        return next(filter(None, candidates), None)


def lines_of(kind: str, lines: Sequence[str]) -> List[str]:
    """Those of a kind of policies."""
    return [line for line in lines if kind in kinds_of(line)]


def kinds_of(line: str) -> FrozenSet[str]:
    """The kinds of a line: an address is direct, as is a wheel that the pack brings, and what is no wheel is built."""
    address, file = address_in(line), file_in(line)
    if address:
        is_repository = "+" in urlsplit(address).scheme
        is_wheel = not is_repository and unquote(urlsplit(address).path).lower().endswith(".whl")
        return frozenset(["direct_urls"] if is_wheel else ["direct_urls", "builds"])
    if file is None:
        return frozenset()
    return frozenset(["direct_urls" if file.name.lower().endswith(".whl") else "builds"])


def address_in(line: str) -> str:
    """The address of elsewhere that a line asks for, if it does."""
    found = None if line.startswith("--") else _ADDRESS.search(line)
    return found.group(1) if found else ""


def file_in(line: str) -> Optional[Path]:
    """The file or folder of this machine that a line asks for, if it does."""
    found = None if line.startswith("--") else _PLACE.search(line)
    return Path("/" + unquote(re.split(r"[#;]", found.group(1))[0]).lstrip("/")) if found else None


def readable_line(line: str) -> str:
    """As people may read it: no login, no token."""
    return readable(line)


def _versions(line: str, name: str) -> List[str]:
    """The versions that a line can only mean: of a pin, or of a wheel's or an archive's name."""
    address, file = address_in(line), file_in(line)
    place = unquote(urlsplit(address).path).rpartition("/")[2] if address else file.name if file is not None else ""
    of_name = re.match(r"^[A-Za-z0-9._]+?-(\d[A-Za-z0-9.!+_]*?)(?:-|\.tar|\.zip|\.whl|$)", place)
    pins = [_PIN.match(clause) for clause in (bounds_of(line) or asked_by(line).bounds or "").split(",")]
    conditional = [] if address or file is not None else re.findall(r"===?\s*([\w.!+-]+)", line.partition(";")[0])
    found = [pin.group(1) for pin in pins if pin] + conditional + ([of_name.group(1)] if of_name else [])
    return found or ([""] if name else [])


def _has_places(asks: FileOptions) -> bool:
    return bool(asks.locations or asks.trusted)


def _places_of(asks: FileOptions) -> List[str]:
    return [*map(_in_words, asks.locations), *("--trusted-host %s" % host for host in asks.trusted)]


def _in_words(place: Place) -> str:
    address = place.address if place.is_remote else place.host
    return "%s %s" % ("--extra-index-url" if place.is_index else "--find-links", address)


def _leave_out(item: PackRequirements, line: str, left_out: LeftOut) -> None:
    """Goes on without the line, which people are told in other words."""
    item.left_out.add(left_out)
    item.lines = [each for each in item.lines if each != line]
    item.write()
