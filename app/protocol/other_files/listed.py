"""The packs of a file that does not say each one's commit, as a list of node packs."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Mapping

from app.protocol import refs
from app.protocol.left_out import readable
from app.protocol.manifest import MAX_NODES, ManifestFault, is_path, parse_nodes
from app.protocol.other_files.sections import Sections
from app.protocol.repo_identity import same_repo
from app.protocol.repo_url import repo_name
from app.protocol.snapshot_packs import DISABLED, NotHad, fetchable, is_disabled, read_files

_TOO_MANY = "A list has at most %d node packs. Install the others with a second one." % MAX_NODES


def nodes_of(found: Sections, schemes: Collection[str]) -> List[Dict[str, Any]]:
    """The packs as a manifest's `nodes`; what cannot be had is left out and told."""
    nodes: Dict[str, Dict[str, Any]] = {}
    makers = ((_node, found.packs, "url", "hash"), (_registry_node, found.registry, "id", "version"))
    for make, entries, name, version in makers:
        for entry in entries:
            if is_disabled(entry):
                found.out.add(entry[name], DISABLED, entry[version])
                continue
            try:
                _add(nodes, make(found, entry, schemes))
            except (ManifestFault, NotHad) as exc:
                if str(exc):
                    found.out.add(entry[name], str(exc), entry[version])
    read_files(found.files, found.out)
    return list(nodes.values())


def _registry_node(found: Sections, entry: Mapping[str, Any], schemes: Collection[str]) -> Dict[str, Any]:
    """One pack of ComfyUI's registry. Raises ManifestFault, NotHad."""
    node = {"name": entry["id"], "registry_id": entry["id"], "version": entry["version"]}
    if entry["url"]:
        node["repo_url"] = fetchable(entry["url"], schemes, found.out)
    parse_nodes([node], schemes)
    return {key: value for key, value in node.items() if value}


def _node(found: Sections, entry: Mapping[str, Any], schemes: Collection[str]) -> Dict[str, Any]:
    """One pack. Raises ManifestFault, NotHad."""
    url, ref = fetchable(entry["url"], schemes, found.out), entry["hash"]
    if ref and not refs.is_ref(ref):
        found.out.remark(
            "%s is installed at its newest version: %s is no branch, tag or commit." % (readable(url), readable(ref))
        )
        ref = ""
    pack = parse_nodes([{"name": "pack", "repo_url": url, "ref": ref or None}], schemes)[0]
    folder = entry["folder"]
    name = folder if folder and is_path(folder) and "/" not in folder else repo_name(pack.repo_url)
    node = {"name": name, "repo_url": pack.repo_url, "ref": pack.ref}
    parse_nodes([node], schemes)
    return node


def _add(nodes: Dict[str, Dict[str, Any]], node: Dict[str, Any]) -> None:
    """Raises NotHad where another pack has the folder; without words for the same one again."""
    other = nodes.get(node["name"].lower())
    if other is None:
        if len(nodes) >= MAX_NODES:
            raise NotHad(_TOO_MANY)
        nodes[node["name"].lower()] = node
        return
    is_same = same_repo(other.get("repo_url", ""), node.get("repo_url", ""))
    if not is_same and other.get("registry_id") != node.get("registry_id", ""):
        text = "Its folder would be that of %s. To have both, install this one by itself under another name."
        raise NotHad(text % readable(other.get("repo_url") or other["name"]))
    versions = [each.get("ref") or each.get("version") for each in (other, node)]
    raise NotHad(
        ""
        if versions[0] == versions[1]
        else "It is in the file twice; %s was taken." % (versions[0] or "its newest version")
    )
