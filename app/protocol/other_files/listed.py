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
    for entry in found.packs:
        if is_disabled(entry):
            found.out.add(entry["url"], DISABLED, entry["hash"])
            continue
        try:
            node = _node(found, entry, schemes)
            _add(nodes, node)
        except (ManifestFault, NotHad) as exc:
            if str(exc):
                found.out.add(entry["url"], str(exc), entry["hash"])
    read_files(found.files, found.out)
    return list(nodes.values())


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
    if not same_repo(other["repo_url"], node["repo_url"]):
        text = "Its folder would be that of %s. To have both, install this one by itself under another name."
        raise NotHad(text % readable(other["repo_url"]))
    if other["ref"] != node["ref"]:
        raise NotHad("It is in the file twice; %s was taken." % (other["ref"] or "its newest version"))
    raise NotHad("")
