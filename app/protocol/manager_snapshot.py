"""ComfyUI-Manager's snapshots: read as locks, written from locks.

Source of the format: ComfyUI-Manager's `save_snapshot`. JSON has `comfyui`, `git_custom_nodes` {URL: {hash, disabled}},
`cnr_custom_nodes` {registry id: version}, `file_custom_nodes` and `pips` {"name==version": ""}; YAML has the same below
`custom_nodes`.
"""

from __future__ import annotations

import json
from typing import Any, Collection, Dict, List, Mapping, Tuple

from app.protocol.lockfile import FORMAT, is_name, is_package, read_lock
from app.protocol.manifest import ManifestFault
from app.protocol.package_sources import is_source
from app.protocol.repo_url import repo_name
from app.protocol.yaml_text import parse_yaml

MAX_CHARS = 512 * 1024
_TRUE = ("true", "yes", "on")
"""What a person may write in YAML for true; ComfyUI-Manager writes the first."""


def read_snapshot(raw: Any, schemes: Collection[str], field: str = "manifest.manager_snapshot") -> Dict[str, Any]:
    """A snapshot (an object, or its text in JSON or YAML) as the JSON of a lock. What cannot be had from it is in the
    lock's `left_out`. Raises ManifestFault."""
    snapshot = _load(raw, field)
    if isinstance(snapshot.get("custom_nodes"), Mapping):
        snapshot = snapshot["custom_nodes"]
    if "git_custom_nodes" not in snapshot and "cnr_custom_nodes" not in snapshot:
        raise ManifestFault(field, "This is not a snapshot of ComfyUI-Manager: it has no git_custom_nodes.")
    packs, left_out = _git_packs(_object(snapshot, "git_custom_nodes", field), field)
    for name, version in _object(snapshot, "cnr_custom_nodes", field).items():
        reason = "It comes from the registry, and the snapshot does not name its repository."
        left_out.append({"name": str(name), "version": str(version), "reason": reason})
    left_out += _files(snapshot.get("file_custom_nodes"))
    packages, sources, unread = _pips(_object(snapshot, "pips", field))
    lock = {
        "format": FORMAT,
        "comfyui_commit": snapshot.get("comfyui") or None,
        "node_packs": packs,
        "packages": packages,
        "sources": sources,
        "left_out": left_out + unread,
    }
    if not packs:
        raise ManifestFault(field, "The snapshot has no node pack with a repository and a hash.")
    read_lock(lock, schemes, field)
    return lock


def write_snapshot(lock: Mapping[str, Any]) -> Dict[str, Any]:
    """A lock's JSON as a snapshot that ComfyUI-Manager restores. Nested packs stand by their own URL, packages that are
    not from an index by their address."""
    sources = lock.get("sources") or {}
    return {
        "comfyui": lock.get("comfyui_commit"),
        "git_custom_nodes": {
            pack["repo_url"]: {"hash": pack["commit"], "disabled": False} for pack in lock["node_packs"]
        },
        "cnr_custom_nodes": {},
        "file_custom_nodes": [],
        "pips": {
            "%s @ %s" % (name, sources[name]) if name in sources else "%s==%s" % (name, version): ""
            for name, version in sorted({**dict.fromkeys(sources, ""), **lock.get("packages", {})}.items())
        },
    }


def _load(raw: Any, field: str) -> Mapping[str, Any]:
    if isinstance(raw, str):
        if len(raw) > MAX_CHARS:
            raise ManifestFault(field, "The snapshot is larger than %d characters." % MAX_CHARS)
        try:
            raw = json.loads(raw) if raw.lstrip().startswith("{") else parse_yaml(raw)
        except (ValueError, RecursionError) as exc:
            said = "it is nested too deep" if isinstance(exc, RecursionError) else str(exc)
            raise ManifestFault(field, "The snapshot cannot be read: %.300s." % said) from None
    if not isinstance(raw, Mapping):
        raise ManifestFault(field, "The snapshot is neither an object nor the text of one.")
    return raw


def _object(snapshot: Mapping[str, Any], name: str, field: str) -> Mapping[str, Any]:
    found = snapshot.get(name) or {}
    if not isinstance(found, Mapping):
        raise ManifestFault("%s.%s" % (field, name), "%s is not an object." % name)
    return found


def _git_packs(nodes: Mapping[str, Any], field: str) -> Tuple[List[Dict[str, Any]], List[Dict[str, str]]]:
    packs, left_out = [], []
    for url, entry in nodes.items():
        if not isinstance(entry, Mapping):
            raise ManifestFault("%s.git_custom_nodes" % field, "%.80r has no hash." % url)
        commit = str(entry.get("hash") or "")
        disabled = str(entry.get("disabled")).lower() in _TRUE
        if disabled or not commit:
            reason = "It is disabled in the snapshot." if disabled else "The snapshot has no hash of it."
            left_out.append({"name": str(url), "version": commit, "reason": reason})
            continue
        name = repo_name(str(url))
        packs.append({"name": name, "repo_url": str(url), "folder": name, "commit": commit})
    return packs, left_out


def _files(raw: Any) -> List[Dict[str, str]]:
    files = raw if isinstance(raw, list) else []
    names = [str(file.get("filename", "")) if isinstance(file, Mapping) else str(file) for file in files]
    return [
        {"name": name, "version": "", "reason": "A single file; a snapshot does not hold it."}
        for name in names
        if name and name != "websocket_image_save.py"  # ComfyUI's own
    ]


def _pips(pips: Mapping[str, Any]) -> Tuple[Dict[str, str], Dict[str, str], List[Dict[str, str]]]:
    """Versions, addresses (as pip freezes them, hence without a version), and what is neither."""
    packages, sources, left_out = {}, {}, []
    for line in pips:
        name, found, version = str(line).partition("==")
        named, at, address = str(line).partition(" @ ")
        if found and is_package(name.strip(), version.strip()):
            packages[name.strip()] = version.strip()
        elif at and is_name(named.strip()) and is_source(address.strip()):
            sources[named.strip()] = address.strip()
        else:
            left_out.append({"name": str(line)[:200], "version": "", "reason": "Not a package with a plain version."})
    return packages, sources, left_out
