"""ComfyUI-Manager's snapshots: read as locks, written from locks.

Source of the format: ComfyUI-Manager's `save_snapshot`. JSON has `comfyui`, `git_custom_nodes` {URL: {hash, disabled}},
`cnr_custom_nodes` {registry id: version}, `file_custom_nodes` and `pips` {"name==version": ""}; YAML has the same below
`custom_nodes`, and so has comfy-cli's comfy-lock.yaml. An entry that cannot be had is left out and told; it costs no
other.
"""

from __future__ import annotations

from typing import Any, Collection, Dict, Mapping, Optional

from app.protocol.left_out import LeftOutEntries, readable
from app.protocol.lockfile import FORMAT, MAX_PACKAGES, read_lock
from app.protocol.manifest import MAX_NODES, ManifestFault
from app.protocol.snapshot_packs import name_apart, read_files, read_packs, read_registry_packs
from app.protocol.snapshot_pips import read_pips

MAX_CHARS = 512 * 1024
_MOST_ENTRIES: Mapping[str, int] = {
    "git_custom_nodes": 5 * MAX_NODES,
    "cnr_custom_nodes": 5 * MAX_NODES,
    "file_custom_nodes": 5 * MAX_NODES,
    "pips": 4 * MAX_PACKAGES,
}
"""Of each section. Those that are more than a list may have are left out and told; more than these are refused."""
_SECTIONS = ("git_custom_nodes", "cnr_custom_nodes")
_WRAPPERS = ("custom_nodes", "snapshot")
_KNOWN = frozenset({"comfyui", "file_custom_nodes", "pips", "basics", "models", *_SECTIONS, *_WRAPPERS})
MOST_NAMED = 20


def of_manager(value: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    """The object that has the sections of a snapshot; None where there is none."""
    inner = _inner(value)
    return inner if any(name in inner for name in _SECTIONS) else None


def lock_of(
    snapshot: Mapping[str, Any], inner: Mapping[str, Any], schemes: Collection[str], field: str, out: LeftOutEntries
) -> Dict[str, Any]:
    """A snapshot's sections as the JSON of a lock. What cannot be had from it is in the lock's `left_out`, what was
    taken otherwise in its `remarks`. Raises ManifestFault."""
    for name, most in _MOST_ENTRIES.items():
        _check_most(inner.get(name), most, "%s.%s" % (field, name))
        if not isinstance(inner.get(name) or {}, (Mapping, list, str) if name == "pips" else (Mapping, list)):
            out.add(
                name, "It is neither an object nor a list, so that nothing of it was read. Save the snapshot again."
            )
    packs = read_packs(inner.get("git_custom_nodes"), schemes, out)
    packs += read_registry_packs(inner.get("cnr_custom_nodes"), packs, out)
    name_apart(packs)
    read_files(inner.get("file_custom_nodes"), out)
    packages, sources = read_pips(inner.get("pips"), out)
    _remark_unread({**snapshot, **inner}, out)
    if not packs:
        raise ManifestFault(field, "The snapshot has no node pack that can be installed. %s" % named(out.all()))
    lock = {
        "format": FORMAT,
        "comfyui_commit": _commit(inner.get("comfyui")),
        "node_packs": packs,
        "packages": packages,
        "sources": sources,
        "left_out": out.all(),
        "remarks": out.remarks,
    }
    read_lock(lock, schemes, field)
    return lock


def named(left_out: Collection[Mapping[str, str]], most: int = MOST_NAMED) -> str:
    """The entries that were left out, each with its reason, in one text."""
    words = ["%s: %s" % (each["name"], each["reason"]) for each in left_out][:most]
    more = ["And %d more." % (len(left_out) - most)] if len(left_out) > most else []
    return " ".join([*words, *more])


def write_snapshot(lock: Mapping[str, Any]) -> Dict[str, Any]:
    """A lock's JSON as a snapshot that ComfyUI-Manager restores. Nested packs stand by their own URL, packages that are
    not from an index by their address."""
    sources = lock.get("sources") or {}
    return {
        "comfyui": lock.get("comfyui_commit"),
        "git_custom_nodes": {
            pack["repo_url"]: {"hash": pack["commit"], "disabled": bool(pack.get("disabled"))}
            for pack in sorted(lock["node_packs"], key=lambda pack: not pack.get("disabled"))  # what is loaded counts
            if pack.get("commit")
        },
        "cnr_custom_nodes": {  # as Manager writes it: without those that are disabled
            pack["registry_id"]: pack["version"]
            for pack in lock["node_packs"]
            if not (pack.get("commit") or pack.get("disabled"))
        },
        "file_custom_nodes": [],
        "pips": {
            "%s @ %s" % (name, sources[name]) if name in sources else "%s==%s" % (name, version): ""
            for name, version in sorted({**dict.fromkeys(sources, ""), **lock.get("packages", {})}.items())
        },
    }


def _check_most(section: Any, most: int, where: str) -> None:
    """Raises ManifestFault for too many entries, before any of them is looked at."""
    entries = section.splitlines() if isinstance(section, str) else section
    count = len(entries) if isinstance(entries, (list, Mapping)) else 0
    if count > most:
        raise ManifestFault(where, "The snapshot has %d entries there; at most %d are possible." % (count, most))


def _inner(snapshot: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that has the sections: itself, or one below it."""
    for name in _WRAPPERS:
        below = snapshot.get(name)
        if isinstance(below, Mapping) and not any(each in snapshot for each in _SECTIONS):
            return _inner(below) if name == "snapshot" else below
    return snapshot


def _commit(raw: Any) -> Any:
    """ComfyUI's commit, where the snapshot has one in any form."""
    if isinstance(raw, Mapping):
        raw = raw.get("commit") or raw.get("hash")
    return raw[:200] if isinstance(raw, str) and raw and raw.isprintable() else None


def _remark_unread(snapshot: Mapping[str, Any], out: LeftOutEntries) -> None:
    models = snapshot.get("models")
    if isinstance(models, (list, Mapping)) and models:
        out.remark("The snapshot names %d models, which Nodeferry does not install." % len(models))
    unknown = sorted(readable(name)[:40] for name in snapshot if name not in _KNOWN)
    if unknown:
        out.remark("Not read of the snapshot: %s." % ", ".join(unknown[:5]))
