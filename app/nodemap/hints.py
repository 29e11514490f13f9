"""What the nodes of a workflow say of their pack: `cnr_id`, `aux_id`, `ver`, which ComfyUI's pages write since 1.16."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.nodemap.answer import Pack
from app.nodemap.manager_map import ManagerMap
from app.workflowfile.graph import CORE_IDS, Node

_COMMIT = re.compile(r"[0-9a-f]{40}")
_VERSION = re.compile(r"v?(\d+\.\d+(\.\d+)?([.+-][0-9A-Za-z.+-]+)?)")
_REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_REGISTRY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class KnownIds:
    """What is known of the registry's ids: by Manager's map, and by the registry itself, which has told `repositories`
    by ids in lower case. `registry_on`: an id alone can be installed."""

    manager_map: ManagerMap
    registry_on: bool = False
    repositories: Mapping[str, str] = field(default_factory=dict)

    def repository(self, registry_id: str) -> str | None:
        """Where a pack of the registry is developed."""
        key = self.manager_map.by_id.get(registry_id.lower())
        url = self.manager_map.urls.get(key) if key else None
        return url or self.repositories.get(registry_id.lower())


def pack_by_hints(nodes: Sequence[Node], known: KnownIds) -> Pack | None:
    """The pack that most nodes of a class name; None where none does. A fork keeps its original's `cnr_id`, but has an
    `aux_id` of its own: so that one decides where both are there."""
    named = Counter(pack for pack in (_pack(node, known) for node in nodes) if pack is not None)
    return named.most_common(1)[0][0] if named else None


def says_core(nodes: Sequence[Node]) -> bool:
    """Whether a hint says that a class is ComfyUI's own."""
    return any(node.cnr_id is not None and node.cnr_id.lower() in CORE_IDS for node in nodes)


def newest_core(nodes: Sequence[Node]) -> str | None:
    """The newest version of ComfyUI that nodes of its own were made with."""
    versions = [
        match.group(1)
        for node in nodes
        if node.ver and says_core([node]) and (match := _VERSION.fullmatch(node.ver)) is not None
    ]
    return max(versions, key=_ordered, default=None)


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:4])


def _pack(node: Node, known: KnownIds) -> Pack | None:
    registry_id = node.cnr_id.lower() if node.cnr_id and _REGISTRY_ID.fullmatch(node.cnr_id) else None
    if registry_id in CORE_IDS:
        return None
    commit = node.ver if node.ver and _COMMIT.fullmatch(node.ver) else None
    repository = node.aux_id if node.aux_id and _REPOSITORY.fullmatch(node.aux_id) else None
    if repository:
        return Pack(f"https://github.com/{repository.removesuffix('.git')}", registry_id, commit)
    if registry_id is None:
        return None
    match = _VERSION.fullmatch(node.ver) if node.ver else None
    version = match.group(1) if match else None
    return Pack(known.repository(registry_id), registry_id, commit, version, from_registry=known.registry_on)
