"""What a task that follows another may order: what the first one's request named, and nothing that its instance said.

A run tells of its packs, their folders and commits. Only names are taken from that; addresses, versions and files come
from the request. Where the request names a repository with the list, only the instance has read it: then its entries
pass the checks of a request, and whoever asks for the follow-up trusts the instance for the list. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from app.domain.errors import InvalidRequest, RunnerProtocolError
from app.domain.request import check_remote_path, packs_of
from app.protocol.lockfile import read_lock
from app.protocol.manifest import ManifestFault, NodePack, is_path, parse_nodes
from app.protocol.repo_identity import same_repo
from app.protocol.snapshot import Node, Snapshot
from app.protocol.workflow_needs import needs_in

Manifest = Mapping[str, Any] | None
_SOME_PACK = {"name": "pack", "repo_url": "https://github.com/owner/pack", "commit": "0" * 40}
"""In place of the packs of a lock that has none: the rest of it is checked all the same."""


def packs_asked_for(
    manifest: Manifest, schemes: Collection[str], found: Mapping[str, str] | None = None
) -> dict[str, NodePack] | None:
    """The packs of a request by their names; None where only the instance has read the list. `found`: the repositories
    of a run's packs by name, of which a person may have chosen some among those that the request offers."""
    try:
        packs = packs_of(manifest, schemes)
        wanted = needs_in(manifest, schemes)
    except ManifestFault:  # by rules that have become stricter since: nothing of it may be asked for again
        packs, wanted = [], None
    if packs is None:
        return None
    offered = {url for each in wanted.open_classes for url in each.repositories} if wanted else set()
    chosen = {
        name: NodePack(name, url)
        for name, url in (found or {}).items()
        if any(same_repo(url, each) for each in offered)
    }
    return {**chosen, **{pack.name: pack for pack in packs}}


def entries(manifest: Manifest, ended: Snapshot, names: Collection[str], schemes: Collection[str]) -> list[NodePack]:
    """The packs `names` of a run, as its request has them, in the run's order. Raises ManifestFault."""
    asked = packs_asked_for(manifest, schemes, _repositories(ended.nodes.values()))
    if asked is not None:
        return [asked[name] for name in ended.nodes if name in names and name in asked]
    nodes = [_entry(node) for node in ended.nodes.values() if node.name in names]
    return parse_nodes(nodes, schemes, "nodes") if nodes else []


def nodes_asked_for(manifest: Manifest, nodes: Mapping[str, Node], schemes: Collection[str]) -> dict[str, Node]:
    """The packs of a run that its request has named, with the addresses and files that it has named for them."""
    asked = packs_asked_for(manifest, schemes, _repositories(nodes.values()))
    if asked is None:
        return dict(nodes)
    return {
        name: replace(node, repo_url=asked[name].repo_url, requirements_file=asked[name].requirements_file)
        for name, node in nodes.items()
        if name in asked
    }


def folders(manifest: Manifest, nodes: Iterable[Node], schemes: Collection[str]) -> list[tuple[str, str]]:
    """Name and folder of those packs of a run that its request has named, where the folder can be one."""
    nodes = tuple(nodes)
    asked = packs_asked_for(manifest, schemes, _repositories(nodes))
    return [
        (node.name, node.folder) for node in nodes if (asked is None or node.name in asked) and is_path(node.folder)
    ]


def _repositories(nodes: Iterable[Node]) -> dict[str, str]:
    return {node.name: node.repo_url for node in nodes}


def home(said: object, asked: str | None) -> str | None:
    """ComfyUI's folder as the run has found it, where that is a path; else the one that was asked for."""
    try:
        return check_remote_path(said, "ui_home") if isinstance(said, str) and said else asked
    except InvalidRequest:
        return asked


def checked_lock(lock: Mapping[str, Any], manifest: Manifest, schemes: Collection[str]) -> dict[str, Any]:
    """A run's lock without the packs that its request has not named. Raises RunnerProtocolError for one that no request
    may have."""
    packs = lock.get("node_packs")
    asked = packs_asked_for(manifest, schemes, _locked(packs))
    if asked is not None and isinstance(packs, list):
        packs = [pack for pack in packs if _is_asked(pack, asked)]
    try:
        read_lock({**lock, "node_packs": packs or [_SOME_PACK]}, ("https", *schemes), "lock")
    except ManifestFault as fault:
        message = f"The lock that the instance has sent cannot be used: {fault.message}"
        raise RunnerProtocolError(message) from fault
    return {**lock, "node_packs": packs}


def _locked(packs: object) -> dict[str, str]:
    """The repositories in a lock by the packs' names."""
    found = [pack for pack in packs if isinstance(pack, Mapping)] if isinstance(packs, list) else []
    return {str(pack.get("name")): str(pack.get("repo_url")) for pack in found}


def _is_asked(pack: object, asked: Mapping[str, NodePack]) -> bool:
    name, url = (pack.get("name"), pack.get("repo_url")) if isinstance(pack, Mapping) else (None, None)
    known = asked.get(name) if isinstance(name, str) else None
    if known is not None and known.registry_id and isinstance(pack, Mapping) and not pack.get("commit"):
        return pack.get("registry_id") == known.registry_id
    return known is not None and isinstance(url, str) and same_repo(known.repo_url, url)


def _entry(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "repo_url": node.repo_url,
        "subfolder": None if node.folder == node.name else node.folder,
        "requirements_file": node.requirements_file,
        "ref": node.ref,
        **({"registry_id": node.registry_id, "version": node.version} if node.registry_id else {}),
    }
