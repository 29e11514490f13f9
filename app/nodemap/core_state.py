"""Which classes of a workflow are ComfyUI's own, for the ComfyUI of an instance or, where that is not known, for the
newest one: `split_core`.

A pack's class of a core name is skipped by ComfyUI itself, so the core wins over every hint where it has the class.
Where it has not, a pack may: a hint says so, or the class is asked for.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from app.nodemap.core_versions import CoreVersions
from app.nodemap.hints import KnownIds, newest_core, pack_by_hints, says_core
from app.nodemap.manager_map import ManagerMap
from app.nodemap.virtual import CORE, is_virtual
from app.protocol.core_needs import CoreClass
from app.protocol.versions import is_older, version_key
from app.workflowfile.graph import Node


@dataclass(frozen=True)
class KnownCore:
    """What is known of ComfyUI. `newest`: classes of the newest one, None where only Manager's map has some;
    `versions`: the history; `version`: that of the instance; `made_for`: the one that the workflow asks for as a
    whole, as the list of ComfyUI's official templates says it of each."""

    newest: Container[str] | None = None
    versions: CoreVersions | None = None
    version: str | None = None
    made_for: str | None = None


@dataclass
class CoreSplit:
    """`here`: ComfyUI's own. `too_new`: its own too, but this ComfyUI does not have them; `gone`: it had them once.
    `doubtful`: as one of these two, but a pack may be meant. `needed`: what the core classes that run need, by name."""

    here: set[str] = field(default_factory=set)
    too_new: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    needed: dict[str, CoreClass] = field(default_factory=dict)

    @property
    def own(self) -> set[str]:
        """All that need no pack."""
        return self.here | self.too_new | self.gone | CORE


def split_core(by_class: Mapping[str, Sequence[Node]], core: KnownCore, manager_map: ManagerMap) -> CoreSplit:
    """Of each class whether it is ComfyUI's own, and since when."""
    sorted_core = CoreSplit()
    for name, nodes in by_class.items():
        known = core.versions.find(name) if core.versions else None
        state = _state(name, nodes, core, known, manager_map)
        if state is None:
            continue
        listed = state != "here" and not says_core(nodes) and _may_be_of_a_pack(name, nodes, manager_map)
        getattr(sorted_core, "doubtful" if listed else state).add(name)
        if any(node.runs for node in nodes) and not is_virtual(name):
            sorted_core.needed[name] = _needed(name, _made_with(name, nodes, core, manager_map), core, known, state)
    return sorted_core


def _state(
    name: str, nodes: Sequence[Node], core: KnownCore, known: CoreClass | None, manager_map: ManagerMap
) -> str | None:
    """`here`, `too_new` or `gone`; None for a class that is not ComfyUI's own."""
    if core.versions and known and version_key(core.version):
        if core.versions.has(name, str(core.version)):
            return "here"
        return "gone" if known.until and not is_older(core.version, known.since) else "too_new"
    newest = core.newest if core.newest is not None else manager_map.core
    if name in newest:
        return "here"
    if known and known.until:
        return "gone"
    made_with = _made_with(name, nodes, core, manager_map)
    if is_virtual(name) or not (says_core(nodes) or made_with):
        return None
    if core.newest is None or (version_key(core.version) and made_with and not is_older(core.version, made_with)):
        return "here"  # a ComfyUI that is no older made it
    return "too_new"


def _made_with(name: str, nodes: Sequence[Node], core: KnownCore, manager_map: ManagerMap) -> str | None:
    """The ComfyUI that made the nodes of a class; that for which the workflow was made, where that is newer than any
    that is known, and no pack is known that has the class."""
    if says_core(nodes):
        return newest_core(nodes)
    newer = core.versions is not None and is_older(core.versions.newest, core.made_for)
    return core.made_for if newer and not _may_be_of_a_pack(name, nodes, manager_map) else None


def _may_be_of_a_pack(name: str, nodes: Sequence[Node], manager_map: ManagerMap) -> bool:
    return pack_by_hints(nodes, KnownIds(manager_map)) is not None or bool(manager_map.listed(name))


def _needed(name: str, made_with: str | None, core: KnownCore, known: CoreClass | None, state: str) -> CoreClass:
    """The class with its versions: of one that no history has, that of the ComfyUI that made the nodes."""
    if known is not None:
        return CoreClass(name, known.since or made_with, known.until, known.replaced_by)
    oldest = core.versions.oldest if core.versions and state == "here" else None
    return CoreClass(name, made_with or oldest)
