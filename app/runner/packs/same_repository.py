"""Whether two addresses are of the same repository, where their texts do not say: this module asks git.

In this order, and no further than needed: the texts; where this machine's configuration leads them (`url.….insteadOf`);
where the servers lead them now (a repository that was renamed or moved answers at its old name with a redirect); and
the newest commits. Servers are asked only about addresses that may be the same, each once in a run, each for a few
seconds, and without the login that an address may have: nobody knows where a redirect leads.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Dict, FrozenSet, Iterable, List, Optional, Sequence, Tuple

from app.protocol.repo_identity import Identity, identity, public_address, without_login
from app.runner.context import Context

MOST_ASKED = 64
"""About so many addresses servers are asked in one run."""
_AT_ONCE = 16
_REDIRECTED = re.compile(r"^warning: redirecting to (\S{1,2000})\s*$", re.MULTILINE)
_REF = re.compile(r"^([0-9a-f]{40,64})\t(\S+)$", re.MULTILINE)
_ADDRESS = re.compile(r"^(?:https?|ssh|git)://|^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:", re.IGNORECASE)


class How(Enum):
    """By what two addresses are known to be of the same repository."""

    TEXT = "text"
    MOVED = "moved"
    COMMITS = "commits"


@dataclass(frozen=True)
class Verdict:
    """`same`: None where nobody could say. `how`: by what they are the same, None where they are not."""

    same: Optional[bool]
    how: Optional[How] = None


@dataclass(frozen=True)
class Remote:
    """What a server said of a repository: where it is now, its newest commit, and the commits of all branches and
    tags."""

    address: str
    newest: Optional[str]
    commits: FrozenSet[str]


class SameRepository:
    """The answers of one run. Its methods may be called from any thread; they raise RunCancelled."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._rules: Dict[Path, Sequence[Tuple[str, str]]] = {}
        self._remotes: Dict[str, Optional[Remote]] = {}
        self._known: Dict[Tuple[str, Optional[Path]], FrozenSet[Identity]] = {}
        self._asked = 0

    @classmethod
    def of(cls, context: Context) -> SameRepository:
        """The one of this run."""
        found = context.shared.setdefault(cls.__name__, cls(context))
        assert isinstance(found, cls)
        return found

    def by_text(self, one: str, other: str, folder: Optional[Path] = None) -> bool:
        """Whether the texts say that it is one repository, or those that the configuration of this machine, and of the
        checkout in `folder`, makes of them. Asks no server."""
        first = identity(one)
        if first is not None and first == identity(other):
            return True
        if not one or not other:
            return False
        return bool(self.identities(one, folder) & self.identities(other, folder))

    def ask(self, origin: str, wanted: str, folder: Optional[Path] = None, commit: Optional[str] = None) -> Verdict:
        """The same, and where the texts do not say it the servers are asked. `commit`: what is checked out of
        `origin`."""
        if self.by_text(origin, wanted, folder):
            return Verdict(True, How.TEXT)
        first, second = self.remotes([wanted, origin])
        if first is None:
            return Verdict(None)
        if second is None:
            gone = commit is not None and commit in first.commits
            return Verdict(True, How.COMMITS) if gone else Verdict(None)
        if self.by_text(first.address, second.address):
            return Verdict(True, How.MOVED)
        if first.newest and first.newest == second.newest:
            return Verdict(True, How.COMMITS)
        return Verdict(False)

    def moved_to(self, old: str, new: str) -> Optional[str]:
        """`new`, if the servers were asked about both and led the old address there; else None. Asks nobody."""
        with self._lock:
            remote = self._remotes.get(public_address(old))
        led = remote is not None and not self.by_text(remote.address, old) and self.by_text(remote.address, new)
        return new if led else None

    def remotes(self, addresses: Sequence[str]) -> List[Optional[Remote]]:
        """What the servers say of each, asked side by side; None for one that does not answer, or that nobody may be
        asked about."""
        todo = [address for address in dict.fromkeys(map(public_address, addresses)) if self._may_ask(address)]
        if todo:
            with ThreadPoolExecutor(min(_AT_ONCE, len(todo)), thread_name_prefix="same") as pool:
                answers = list(pool.map(self._ask, todo))
            with self._lock:
                self._remotes.update(zip(todo, answers))
        return [self._remotes.get(public_address(address)) for address in addresses]

    def _may_ask(self, address: str) -> bool:
        with self._lock:
            if address in self._remotes or self._asked >= MOST_ASKED or not _ADDRESS.match(address):
                return False
            self._asked += 1
            return True

    def _ask(self, address: str) -> Optional[Remote]:
        finished = self._context.git().remote_refs(address, cwd=self._context.custom_nodes)
        if not finished.ok:
            return None
        refs = {name: commit for commit, name in _REF.findall(finished.output)}
        return Remote(redirect_in(finished.output) or address, refs.get("HEAD"), frozenset(refs.values()))

    def identities(self, address: str, folder: Optional[Path] = None) -> FrozenSet[Identity]:
        """What an address names, by its text and by those that the configuration of this machine, and of the checkout
        in `folder`, makes of it."""
        known = self._known.get((address, folder))
        if known is None:
            folders = [each for each in (self._context.custom_nodes, folder) if each]
            texts = [address, *(self._rewritten(address, each) for each in folders)]
            known = frozenset(found for found in map(identity, texts) if found is not None)
            self._known[address, folder] = known
        return known

    def _rewritten(self, address: str, folder: Path) -> str:
        """The address that git uses in place of this one: the longest `insteadOf` that it begins with is replaced."""
        fitting = [rule for rule in self._rules_in(folder) if address.startswith(rule[1])]
        if not fitting:
            return address
        base, prefix = max(fitting, key=lambda rule: len(rule[1]))
        return base + address[len(prefix) :]

    def _rules_in(self, folder: Path) -> Sequence[Tuple[str, str]]:
        """The pairs of `url.BASE.insteadOf PREFIX` that hold in a folder."""
        with self._lock:
            known = self._rules.get(folder)
        if known is None:
            said = self._context.git().ask("config", "-z", "--get-regexp", r"^url\..*\.insteadof$", cwd=folder) or b""
            known = list(_rules_of(said.decode("utf-8", "replace").split("\0")))
            with self._lock:
                self._rules[folder] = known
        return known


def redirect_in(output: str) -> Optional[str]:
    """Where git was led by a server, as it said itself, without a login; None if it was not."""
    found = _REDIRECTED.findall(output.replace("\r", "\n"))
    return without_login(found[-1]).rstrip("/") if found else None


def _rules_of(entries: Iterable[str]) -> Iterable[Tuple[str, str]]:
    for entry in entries:
        key, _, prefix = entry.partition("\n")
        if prefix:
            yield key[len("url.") : -len(".insteadof")], prefix
