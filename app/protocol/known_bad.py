"""Packs and packages that are known to be malicious, and whether something is one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import unquote

from app.protocol.repo_identity import identity
from app.protocol.snapshot import Problem

MOST_ENTRIES = 2000
NO_VERSION = "<0.dev0"
"""Bounds that no version is in; no package has them but by this list."""
_MOST_OF_ENTRY = 1000
_LONGEST = 500
_OF_GITHUB = {
    "codeload.github.com": "",
    "raw.githubusercontent.com": "",
    "media.githubusercontent.com": "media/",
    "api.github.com": "repos/",
}
"""Hosts that give files and archives of GitHub's repositories, and what stands before owner and name there."""
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HINT = (
    "Do not install it. Where it has run, take all secrets on the instance for stolen: change them, and make a new "
    "instance. Read: %s"
)


@dataclass(frozen=True)
class KnownBad:
    """One published case. `what`: what it did; `source`: the address of the report."""

    name: str
    what: str
    date: str
    source: str
    addresses: Tuple[str, ...] = ()
    """`host/path` of repositories and of files: the address itself, and what lies below it."""
    packs: Tuple[str, ...] = ()
    """Names of packs that are it, whoever has them."""
    packages: Mapping[str, Tuple[str, ...]] = field(default_factory=dict)
    """Versions by the package's name; none: every version."""
    hashes: Tuple[str, ...] = ()
    """SHA-256 of files, and git's names of commits."""

    def problem(self, what: str) -> Problem:
        """Why `what`, which is it, is refused."""
        text = "%s is known to be malicious (%s, %s): %s" % (what, self.name, self.date, self.what.rstrip("."))
        return Problem("known_bad", text + ".", _HINT % self.source)

    @property
    def why(self) -> str:
        """A clause about a line of requirements that asks for it."""
        return "it is known to be malicious (%s, %s): %s" % (self.name, self.date, self.what.rstrip("."))

    @property
    def hint(self) -> str:
        """What to do."""
        return _HINT % self.source


class KnownBads:
    """The list that a run goes by."""

    def __init__(self, entries: Sequence[KnownBad]) -> None:
        self._addresses = {_address(text): each for each in entries for text in each.addresses}
        self._packs = {name.lower(): each for each in entries for name in each.packs}
        self._hashes = {text: each for each in entries for text in each.hashes}
        self._packages: Dict[str, Dict[str, KnownBad]] = {}
        self._whole: Dict[str, KnownBad] = {}
        for each in entries:
            for name, versions in each.packages.items():
                known = self._packages.setdefault(_canonical(name), {})
                known.update(dict.fromkeys(map(_version, versions), each))
                if not versions:
                    self._whole[_canonical(name)] = each

    def of_address(self, text: str) -> Optional[KnownBad]:
        """The case of an address, or of one above it."""
        all_parts = [form.split("/") for form in _forms(text)]
        above = ["/".join(parts[:length]) for parts in all_parts for length in range(len(parts), 1, -1)]
        return next((self._addresses[each] for each in above if each in self._addresses), None)

    def of_pack(self, name: str) -> Optional[KnownBad]:
        """The case of a pack, or a folder, of this name."""
        return self._packs.get(name.lower().removesuffix(".disabled"))

    def of_hash(self, text: str) -> Optional[KnownBad]:
        """The case of a file (SHA-256) or a commit."""
        return self._hashes.get(text.lower())

    def of_package(self, name: str, version: str) -> Optional[KnownBad]:
        """The case of a package in this version."""
        canonical = _canonical(name)
        return self._whole.get(canonical) or self._packages.get(canonical, {}).get(_version(version))

    @property
    def excluded(self) -> List[str]:
        """What keeps the versions out of a resolution, a line of constraints for each package. Of one that is refused
        as a whole, no version satisfies it."""
        bounds = {name: ",".join("!=%s" % each for each in sorted(some)) for name, some in self._packages.items()}
        bounds.update(dict.fromkeys(self._whole, NO_VERSION))
        return ["%s%s" % pair for pair in sorted(bounds.items())]


def read_known_bad(given: Any) -> List[KnownBad]:
    """Entries from JSON: objects with the fields of `KnownBad`. Raises ValueError that names what is wrong."""
    if not isinstance(given, list) or len(given) > MOST_ENTRIES:
        raise ValueError("it is not a list of at most %d entries" % MOST_ENTRIES)
    return [_entry(each, number) for number, each in enumerate(given, 1)]


_TEXTS = ("name", "what", "date", "source")
_LISTS = ("addresses", "packs", "hashes")


def _entry(given: Any, number: int) -> KnownBad:
    where = "entry %d" % number
    known = {each.name for each in fields(KnownBad)}
    if not isinstance(given, dict) or not known.issuperset(given):
        raise ValueError("%s is no object with some of the fields %s" % (where, ", ".join(sorted(known))))
    texts = {name: _text(given.get(name), "%s, %s" % (where, name)) for name in _TEXTS}
    lists = {name: _texts(given.get(name, []), "%s, %s" % (where, name)) for name in _LISTS}
    packages = given.get("packages", {})
    if not isinstance(packages, dict) or len(packages) > _MOST_OF_ENTRY:
        raise ValueError("%s: packages is no object of lists of versions" % where)
    lists["hashes"] = tuple(each.lower() for each in lists["hashes"])
    if not all(_HASH.fullmatch(each) for each in lists["hashes"]):
        raise ValueError("%s: a hash is neither a SHA-256 nor a commit" % where)
    if not any((packages, *lists.values())):
        raise ValueError("%s names nothing" % where)
    versions = {_text(name, where): _texts(some, "%s, %s" % (where, name)) for name, some in packages.items()}
    return KnownBad(
        texts["name"],
        texts["what"],
        texts["date"],
        texts["source"],
        lists["addresses"],
        lists["packs"],
        versions,
        lists["hashes"],
    )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST or not value.isprintable():
        raise ValueError("%s is no line of text of at most %d characters" % (where, _LONGEST))
    return value


def _texts(value: Any, where: str) -> Tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_OF_ENTRY:
        raise ValueError("%s is no list of texts" % where)
    return tuple(_text(each, where) for each in value)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(text: str) -> str:
    """A version in one form (PEP 440): `v1.2.0+local` is 1.2."""
    text = text.strip().lower().removeprefix("v").partition("+")[0]
    return re.sub(r"^(\d+(?:\.\d+)*?)(?:\.0+)+$", r"\1", re.sub(r"(?<![\d])0+(?=\d)", "", text))


def _forms(text: str) -> Tuple[str, ...]:
    """An address as `host/path`, and what it is as a repository's: through a proxy, by ssh, with a ref."""
    text = re.sub(r"[#?].*$", "", re.sub(r"^[\w.\[\],-]+\s*@\s*(?=\S+://)", "", text.strip()))
    known = identity(text) if ":" in text else None
    return (_address(text), *(["%s/%s" % (known.host, known.path.lower())] if known and known.host else []))


def _address(text: str) -> str:
    """`host/path` without scheme, login, port and ref."""
    host, _, path = unquote(text.partition("://")[2] or text).partition("/")
    host = re.sub(r":\d+$", "", host.rpartition("@")[2]).lower().rstrip(".").removeprefix("www.")
    before = _OF_GITHUB.get(host)
    if before is not None and path.lower().startswith(before):
        host, path = "github.com", path[len(before) :]
    whole = re.sub(r"/{2,}", "/", "%s/%s" % (host, path.partition("@")[0])).rstrip("/")
    return whole.removesuffix(".git").lower()
