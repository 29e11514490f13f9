"""ComfyUI-Manager's map of classes (`extension-node-map.json`), its list of packs (`custom-node-list.json`) and its
figures (`github-stats.json`), as one index.

The map lies: collections of copies list other packs' classes, and a fork lists its original's. So a listing is evidence
of a weak kind, and which packs are collections is counted from the map itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.nodemap.patterns import owning
from app.protocol.repo_identity import identity

MAX_PACKS = 50_000
MAX_CLASSES = 1_000_000
_LONGEST = 200
_CORE_KEYS = frozenset({"github.com/comfyanonymous/comfyui", "github.com/comfy-org/comfyui"})
_OTHERS_OF_A_COLLECTION = 3
"""From how many other packs a collection's classes come at least."""
_COPIED_CLASSES = 3
"""So many classes in common are no coincidence."""
_KNOWN_STARS = 50
_TIMES_AS_KNOWN = 10
"""An original has at least so many stars, and so many times those of its copies."""


@dataclass(frozen=True)
class Facts:
    """What is known of a pack, for the person who has to choose. What is not known is None."""

    title: str | None = None
    stars: int | None = None
    last_update: str | None = None


@dataclass
class ManagerMap:
    """The index. A pack's key is its repository in one spelling; `urls` has the address to clone it from."""

    packs_of: dict[str, list[str]] = field(default_factory=dict)
    classes_of: dict[str, frozenset[str]] = field(default_factory=dict)
    owners: list[tuple[re.Pattern[str], str]] = field(default_factory=list)
    preempted: dict[str, list[str]] = field(default_factory=dict)
    core: frozenset[str] = frozenset()
    urls: dict[str, str] = field(default_factory=dict)
    by_id: dict[str, str] = field(default_factory=dict)
    collections: frozenset[str] = frozenset()
    facts: dict[str, Facts] = field(default_factory=dict)

    def owners_of(self, class_name: str) -> list[str]:
        """Packs whose own names look like this."""
        return [key for pattern, key in self.owners if pattern.search(class_name)]

    def listed(self, class_name: str) -> list[str]:
        """Packs that list a class, without those that have copied it from another one of them."""
        keys = self.packs_of.get(class_name, [])
        originals = [key for key in keys if not any(self._copied(key, other) for other in keys)]
        kept = [key for key in originals if key not in self.collections] or originals
        return kept or keys

    def stars(self, key: str) -> int:
        """The stars of a pack; 0 where nobody knows."""
        return self.facts.get(key, Facts()).stars or 0

    def _copied(self, key: str, other: str) -> bool:
        """Whether a pack's classes are copies of another one's: it shares several, and hardly anybody knows it. Two
        packs that share one name, as `ShowText`, have come to it by themselves."""
        if key == other or self.stars(other) < max(_KNOWN_STARS, _TIMES_AS_KNOWN * self.stars(key)):
            return False
        shared = len(self.classes_of[key] & self.classes_of[other])
        return shared >= _COPIED_CLASSES or 2 * shared > len(self.classes_of[key])


def repo_key(url: object) -> str | None:
    """One spelling of a repository's address, for comparing; None for what is no address."""
    found = identity(url) if isinstance(url, str) and url.isprintable() else None
    return f"{found.host}{f':{found.port}' if found.port else ''}/{found.path}" if found and found.host else None


def read_manager_map(node_map: Any, pack_list: Any = None, stats: Any = None) -> ManagerMap:
    """The index of Manager's files, each as parsed JSON; what is of another shape is skipped. Raises ValueError for a
    map that is none."""
    if not isinstance(node_map, dict) or len(node_map) > MAX_PACKS:
        raise ValueError("This is no map of ComfyUI-Manager: it is no object, or has too many packs.")
    found = ManagerMap()
    classes = 0
    for url, entry in node_map.items():
        names, about = _entry(entry)
        key = repo_key(url)
        classes += len(names)
        if key is None or classes > MAX_CLASSES or _is_single_file(key):
            continue
        if key in _CORE_KEYS:
            found.core = frozenset(names)
            continue
        _add(found, key, url, names, about)
    _read_list(found, pack_list)
    _read_stats(found, stats)
    found.collections = _collections(found)
    return found


def _is_single_file(key: str) -> bool:
    """Whether an entry is one file, which Manager copies: `…/raw/main/node.py`. It cannot be cloned."""
    return key.endswith((".py", ".js", ".zip")) or key.startswith(("raw.", "gist.githubusercontent."))


def _add(found: ManagerMap, key: str, url: str, names: list[str], about: Mapping[str, Any]) -> None:
    found.urls.setdefault(key, url)
    found.classes_of[key] = found.classes_of.get(key, frozenset()) | frozenset(names)
    for name in names:
        keys = found.packs_of.setdefault(name, [])
        if key not in keys:
            keys.append(key)
    found.owners += [(pattern, key) for pattern in owning(about.get("nodename_pattern"))]
    for name in _names(about.get("preemptions")):
        found.preempted.setdefault(name, []).append(key)
    title = about.get("title_aux")
    found.facts[key] = Facts(title[:_LONGEST] if isinstance(title, str) and title.isprintable() else None)


def _entry(entry: Any) -> tuple[list[str], Mapping[str, Any]]:
    """The classes of an entry, and what it says besides."""
    if not isinstance(entry, list) or not entry:
        return [], {}
    about = entry[1] if len(entry) > 1 and isinstance(entry[1], dict) else {}
    return _names(entry[0]), about


def _names(raw: Any) -> list[str]:
    names = raw if isinstance(raw, list) else []
    return [name for name in names if isinstance(name, str) and 0 < len(name) <= _LONGEST]


def _collections(found: ManagerMap) -> frozenset[str]:
    """Packs that hold copies of at least three smaller ones which more people know: half of the classes of each."""
    collections = set()
    for key, names in found.classes_of.items():
        shared = Counter(other for name in names for other in found.packs_of[name] if other != key)
        copied = [
            other
            for other, count in shared.items()
            if count >= 2
            and len(found.classes_of[other]) <= 2 * count
            and len(found.classes_of[other]) <= len(names) // 2
            and found.stars(other) >= found.stars(key)
        ]
        if len(copied) >= _OTHERS_OF_A_COLLECTION:
            collections.add(key)
    return frozenset(collections)


def _read_list(found: ManagerMap, pack_list: Any) -> None:
    """Manager's ids of packs, which are the registry's in most cases, and addresses that can be cloned."""
    entries = pack_list.get("custom_nodes") if isinstance(pack_list, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("install_type") != "git-clone":
            continue
        key = repo_key(entry.get("reference"))
        pack_id = entry.get("id")
        if key is None:
            continue
        found.urls.setdefault(key, entry["reference"])
        if isinstance(pack_id, str) and 0 < len(pack_id) <= 100:
            found.by_id.setdefault(pack_id.lower(), key)


def _read_stats(found: ManagerMap, stats: Any) -> None:
    for url, entry in stats.items() if isinstance(stats, dict) else ():
        key = repo_key(url)
        if key is None or not isinstance(entry, dict):
            continue
        stars, updated = entry.get("stars"), entry.get("last_update")
        found.facts[key] = Facts(
            found.facts.get(key, Facts()).title,
            stars if isinstance(stars, int) and 0 <= stars < 10**9 else None,
            updated[:10] if isinstance(updated, str) and updated.isprintable() else None,
        )
