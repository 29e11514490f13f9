"""What the registry says of the classes and ids of one workflow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.nodemap.answer import Pack
from app.nodemap.manager_map import Facts
from app.nodemap.registry_answers import REFUSED, RegistryNode
from app.nodemap.resolve import Sources, classes_to_ask, pack_key, resolve
from app.sync.registry.client import Asking, Registry, RegistryUnreachable
from app.workflowfile.graph import Workflow

_MOST_IDS = 100
"""Whose repositories are asked for."""


def with_registry(workflow: Workflow, sources: Sources, registry: Registry, asking: Asking) -> Sources:
    """`sources` with what the registry says of this workflow. What could not be asked is left out, and `asking.problem`
    says why."""
    if not registry.is_on:
        return sources
    told = registry.packs_of_all(classes_to_ask(workflow, sources), asking)
    packs = {name: [pack for pack in map(_pack, nodes) if pack is not None] for name, nodes in told.items()}
    facts = {pack_key(pack): _facts(node) for nodes in told.values() for node in nodes if (pack := _pack(node))}
    sources = replace(sources, registry=packs, registry_facts=facts)
    needed = [each.pack for each in resolve(workflow, sources).needed]
    ids = [pack.registry_id for pack in needed if pack.registry_id and not pack.repo_url]
    return replace(sources, repositories=_repositories(ids, registry, asking))


def _repositories(ids: Iterable[str], registry: Registry, asking: Asking) -> dict[str, str]:
    found: dict[str, str] = {}
    for registry_id in list(dict.fromkeys(ids))[:_MOST_IDS]:
        try:
            node = registry.node(registry_id, asking)
        except RegistryUnreachable as exc:
            asking.note(problem=str(exc))
            continue
        if node is not None and node.repo_url:
            found[registry_id.lower()] = node.repo_url
    return found


def _pack(node: RegistryNode) -> Pack | None:
    """The pack to install: the registry's newest version, else the repository; None for what the registry has taken
    away."""
    if node.status in REFUSED:
        return None
    url = node.repo_url
    if node.newest is not None and node.newest.status not in REFUSED:
        return Pack(url, node.node_id.lower(), None, node.newest.version, from_registry=True)
    return Pack(url, node.node_id.lower()) if url else None


def _facts(node: RegistryNode) -> Facts:
    return Facts(node.title, node.stars, node.last_update)
